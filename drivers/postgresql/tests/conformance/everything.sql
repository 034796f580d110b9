CREATE SCHEMA "My Schema";
CREATE SCHEMA "we""ird\;--é'";
CREATE EXTENSION pgcrypto;
CREATE EXTENSION hstore WITH SCHEMA "My Schema";
COMMENT ON SCHEMA "My Schema" IS E'it''s a "schema"; \\ with\nlines';
CREATE TYPE mood AS ENUM ('sad', 'it''s; ok', 'häppy');
CREATE TYPE pair AS (a int, "B b" text);
CREATE TYPE span AS RANGE (subtype = float8);
CREATE DOMAIN positive AS int NOT NULL DEFAULT 1 CHECK (VALUE > 0);
CREATE FUNCTION is_even(i int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $body$
BEGIN
  -- it's; $$ not an end $$
  RETURN i % 2 = 0 AND ';' <> E'\';' AND $x$;$x$ IS NOT NULL;
END $body$;
CREATE FUNCTION classify(i int) RETURNS text LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT CASE WHEN i > 10 THEN CASE i WHEN 11 THEN 'eleven; END' ELSE 'big' END ELSE 'small' END AS "end";
  SELECT CASE WHEN is_even(i) THEN 'even' ELSE 'odd' END AS "case";
END;
CREATE PROCEDURE note(t text) LANGUAGE sql BEGIN ATOMIC SELECT t; SELECT length(t); END;
CREATE TABLE customers (
  id bigint GENERATED ALWAYS AS IDENTITY (START 7 INCREMENT 3) PRIMARY KEY,
  name text NOT NULL, email text COLLATE "C" UNIQUE, mood mood DEFAULT 'sad', p pair, s span, h "My Schema".hstore,
  n positive, upper_name text GENERATED ALWAYS AS (upper(name)) STORED, tags text[], j jsonb, b bytea,
  ts timestamptz DEFAULT '2024-02-29 12:00:00.123456+02', d date, iv interval, f float8, r real, m money,
  x xml, ip inet, dropped int, "Sélect ""x""\" text, CONSTRAINT "chk; '" CHECK (length(name) < 10000));
ALTER TABLE customers DROP COLUMN dropped;
INSERT INTO customers (name, email, mood, p, s, h, n, tags, j, b, d, iv, f, r, m, x, ip, "Sélect ""x""\")
  SELECT 'name ' || i, 'mail' || i, 'it''s; ok', ROW(i, 'b"\,(' || i)::pair, span(i, i + 1.5), "My Schema".hstore('k', i::text),
    i, ARRAY['a,"b', NULL, '\', 'NULL'], jsonb_build_object('k', E'\t\\n"'), '\x00ff5c0a'::bytea, '0044-03-15 BC', '-1 mon 2 days 03:04:05.6',
    1e-300 / 3, 'NaN', 1234.56 * i, '<a b="c">d</a>', '::1/64', E'tab\there\nline\r\\N \\. \b\f\v end é 漢字 𝄞'
  FROM generate_series(1, 500) i;
INSERT INTO customers (name) VALUES (''), (E'\\N'), (E'\\.'), ('NULL');
COMMENT ON COLUMN customers."Sélect ""x""\" IS 'hostile';
COMMENT ON CONSTRAINT "chk; '" ON customers IS 'checked';
CREATE TABLE "we""ird\;--é'"."T able;'" ("column ;""'" int DEFAULT 5, "from" text, "TO" text);
INSERT INTO "we""ird\;--é'"."T able;'" VALUES (1, 'a', NULL), (NULL, NULL, ''), (3, E'\\\\', E'\\');
CREATE TABLE nothing ();
INSERT INTO nothing DEFAULT VALUES;
INSERT INTO nothing DEFAULT VALUES;
CREATE TABLE only_generated (a int GENERATED ALWAYS AS (1 + 1) STORED);
INSERT INTO only_generated DEFAULT VALUES;
CREATE UNLOGGED TABLE cache (k text PRIMARY KEY, v text) WITH (fillfactor = 70);
INSERT INTO cache VALUES ('a', repeat('x', 100000));
CREATE TABLE empty (i int);
CREATE SEQUENCE odd INCREMENT 2 MINVALUE -5 START 1 CACHE 3 CYCLE;
SELECT nextval('odd'), nextval('odd');
CREATE SEQUENCE untouched;
CREATE TABLE serials (id serial, "Big" bigserial, note text);
INSERT INTO serials (note) SELECT 'x' FROM generate_series(1, 33);
CREATE TABLE measured (at date NOT NULL, v int, k text) PARTITION BY RANGE (at);
CREATE TABLE measured_old PARTITION OF measured FOR VALUES FROM (MINVALUE) TO ('2024-01-01') PARTITION BY LIST (k);
CREATE TABLE measured_old_a PARTITION OF measured_old FOR VALUES IN ('a');
CREATE TABLE measured_old_rest PARTITION OF measured_old DEFAULT;
CREATE TABLE measured_new PARTITION OF measured FOR VALUES FROM ('2024-01-01') TO (MAXVALUE);
INSERT INTO measured SELECT date '2023-06-01' + i, i, CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' END FROM generate_series(1, 400) i;
CREATE INDEX measured_v ON measured (v);
ALTER TABLE measured ADD CONSTRAINT measured_unique UNIQUE (at, v, k);
CREATE TABLE by_mood (m mood, i int) PARTITION BY HASH (m);
CREATE TABLE by_mood_0 PARTITION OF by_mood FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE by_mood_1 PARTITION OF by_mood FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE parent (a int);
CREATE TABLE child (b int) INHERITS (parent);
INSERT INTO parent VALUES (1);
INSERT INTO child VALUES (2, 3);
CREATE TABLE husbands (id int PRIMARY KEY, wife int);
CREATE TABLE wives (id int PRIMARY KEY, husband int REFERENCES husbands);
ALTER TABLE husbands ADD FOREIGN KEY (wife) REFERENCES wives DEFERRABLE INITIALLY DEFERRED;
INSERT INTO husbands VALUES (1, NULL), (2, NULL);
INSERT INTO wives VALUES (1, 2), (2, 1);
UPDATE husbands SET wife = 3 - id;
CREATE TABLE tree (id int PRIMARY KEY, up int REFERENCES tree ON DELETE CASCADE);
INSERT INTO tree SELECT i, nullif(i / 2, 0) FROM generate_series(1, 50) i;
CREATE TABLE booked (room int, during tsrange, EXCLUDE USING gist (during WITH &&));
CREATE INDEX customers_expression ON customers (lower(name)) INCLUDE (d) WHERE n > 3;
CREATE INDEX customers_json ON customers USING gin (j jsonb_path_ops);
CREATE STATISTICS customers_statistics ON n, d FROM customers;
ALTER TABLE customers ALTER COLUMN name SET STATISTICS 55;
ALTER TABLE customers CLUSTER ON customers_pkey;
CREATE TABLE secret (owner name, what text);
INSERT INTO secret VALUES ('a', 'x'), ('b', 'y');
ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY "{A} reads; TO" ON secret FOR SELECT TO {a}, {b} USING (owner = current_user OR what LIKE 'TO orders_a USING');
CREATE POLICY all_of_group ON secret TO {rw} USING (true) WITH CHECK (what IS NOT NULL);
CREATE VIEW names AS SELECT id, name, classify(n) FROM customers WHERE name <> ';' WITH LOCAL CHECK OPTION;
CREATE MATERIALIZED VIEW zz_first AS SELECT count(*) AS c FROM customers;
CREATE VIEW through AS SELECT c + 1 AS c FROM zz_first;
CREATE MATERIALIZED VIEW aa_second AS SELECT c FROM through;
CREATE UNIQUE INDEX aa_index ON aa_second (c);
CREATE MATERIALIZED VIEW unfilled AS SELECT 1 AS one WITH NO DATA;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.name := NEW.name || ''!''; RETURN NEW; END';
CREATE TRIGGER touched BEFORE INSERT OR UPDATE OF name ON customers FOR EACH ROW WHEN (NEW.name <> ';') EXECUTE FUNCTION touch();
ALTER TABLE customers DISABLE TRIGGER touched;
CREATE RULE protect AS ON DELETE TO cache DO INSTEAD (SELECT 1; INSERT INTO empty VALUES (1); );
CREATE AGGREGATE total (int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
CREATE OPERATOR ==> (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq);
CREATE CAST (pair AS text) WITH INOUT;
CREATE COLLATION german (provider = icu, locale = 'de');
CREATE TEXT SEARCH CONFIGURATION simpler (COPY = simple);
GRANT SELECT, UPDATE (name) ON customers TO {a};
GRANT SELECT ON ALL TABLES IN SCHEMA "we""ird\;--é'" TO PUBLIC;
GRANT USAGE ON SCHEMA "My Schema" TO {b} WITH GRANT OPTION;
GRANT USAGE ON SEQUENCE odd TO {own};
REVOKE EXECUTE ON FUNCTION is_even(int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION is_even(int) TO {a};
REVOKE USAGE ON TYPE mood FROM PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA "My Schema" GRANT SELECT ON TABLES TO {a};
ALTER DEFAULT PRIVILEGES FOR ROLE {rw} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
SELECT lo_from_bytea(4242, convert_to(repeat('it''s large; ', 70000), 'UTF8'));
SELECT lo_from_bytea(4243, '\x');
SELECT lo_from_bytea(4294967290, '\x00ff27');
COMMENT ON LARGE OBJECT 4242 IS 'it''s; large';
GRANT SELECT ON LARGE OBJECT 4242 TO {a};
GRANT SELECT, UPDATE ON LARGE OBJECT 4243 TO PUBLIC
