//! Rows as applications have them: orders, their lines, events with a document, a few sentences each.

use anyhow::Result;
use e2e::{Context, login};

/// About a gigabyte without its indexes, and as much as text.
const SHOP: &str = "
    CREATE TABLE phrase AS SELECT n AS key, (SELECT string_agg(word, ' ' ORDER BY place) FROM (
        SELECT place, (ARRAY['order','paid','late','window','north','garden','paper','green','light','carrier',
            'morning','river','stone','letter','yellow','market','signal','engine','summer','winter','copper',
            'silver','bridge','harbour','kitchen','ladder','mirror','needle','orange','pocket','quarter',
            'rubber'])[1 + abs(hashint8(n * 64 + place)) % 32] AS word FROM generate_series(1, 6) place) w) AS text
        FROM generate_series(0, 16383) n;
    ALTER TABLE phrase ADD PRIMARY KEY (key);
    CREATE FUNCTION of(n bigint, salt bigint, below int) RETURNS int IMMUTABLE LANGUAGE sql
        RETURN abs(hashint8(n * 31 + salt) % below);
    CREATE TABLE customers AS SELECT n AS id, 'customer' || n || '@example.com' AS email, p.text AS name,
        timestamptz '2024-01-01' + of(n, 1, 60000000) * interval '1 second' AS since
        FROM generate_series(1::bigint, 200000) n JOIN phrase p ON p.key = of(n, 2, 16384);
    CREATE TABLE orders AS SELECT n AS id, 1 + of(n, 3, 200000) AS customer,
        timestamptz '2025-01-01' + n * interval '17 seconds' AS placed,
        (ARRAY['new','paid','packed','sent','returned'])[1 + of(n, 4, 5)] AS state,
        (of(n, 5, 1000000) / 100.0)::numeric(10, 2) AS total, p.text || ' ' || of(n, 6, 400) AS address, q.text AS note
        FROM generate_series(1::bigint, 2000000) n
        JOIN phrase p ON p.key = of(n, 7, 16384) JOIN phrase q ON q.key = of(n, 8, 16384);
    CREATE TABLE order_lines AS SELECT n % 2000000 + 1 AS order_id, n / 2000000 + 1 AS line,
        1 + of(n, 9, 20000) AS product, 1 + of(n, 10, 9) AS quantity, (of(n, 11, 50000) / 100.0)::numeric(10, 2) AS price
        FROM generate_series(0::bigint, 5999999) n;
    CREATE TABLE events AS SELECT n AS id, timestamptz '2025-01-01' + n * interval '11 seconds' AS at,
        jsonb_build_object('session', md5(n::text), 'customer', 1 + of(n, 12, 200000), 'text', p.text,
            'page', '/' || of(n, 13, 900), 'milliseconds', of(n, 14, 4000)) AS document
        FROM generate_series(1::bigint, 2100000) n JOIN phrase p ON p.key = of(n, 15, 16384);
    ALTER TABLE customers ADD PRIMARY KEY (id);
    ALTER TABLE orders ADD PRIMARY KEY (id);
    ALTER TABLE order_lines ADD PRIMARY KEY (order_id, line);
    ALTER TABLE events ADD PRIMARY KEY (id);
    CREATE INDEX ON orders (customer);
    CREATE INDEX ON events (at);
    ALTER TABLE orders ADD FOREIGN KEY (customer) REFERENCES customers;
    ALTER TABLE order_lines ADD FOREIGN KEY (order_id) REFERENCES orders;
    ANALYZE";

/// Ten million rows of one kilobyte. Unlogged, for only their length matters.
const BULK: &str = "
    CREATE UNLOGGED TABLE bulk AS SELECT n, repeat(md5(n::text), 30) AS text FROM generate_series(1, 10000000) n";

/// Fills a Database with the rows of a shop.
pub(crate) async fn shop(context: &Context, database: &str) -> Result<()> {
    fill(context, database, SHOP).await
}

/// Fills a Database with ten gigabytes.
pub(crate) async fn bulk(context: &Context, database: &str) -> Result<()> {
    fill(context, database, BULK).await
}

async fn fill(context: &Context, database: &str, sql: &str) -> Result<()> {
    let application = login(&context.client, &context.secret(database).await?).await?;
    Ok(application.batch_execute(sql).await?)
}
