use super::*;

fn roles(name: &str) -> Roles {
    Roles {
        owner: format!("{name}_own"),
        group: format!("{name}_rw"),
        logins: [format!("{name}_a"), format!("{name}_b")],
    }
}

fn facts() -> Facts {
    Facts {
        source: roles("orders"),
        target: roles("new\"one"),
        schemas: vec!["public".into(), "App".into()],
        extensions: vec!["pgcrypto".into(), "uuid-ossp".into()],
    }
}

fn is(statement: &str) -> Option<String> {
    rewrite(statement, &facts())
}

#[test]
fn roles_have_their_new_names() {
    for (statement, rewritten) in [
        (
            "GRANT SELECT ON TABLE \"orders_rw\".\"orders_a\" TO \"orders_a\"",
            "GRANT SELECT ON TABLE \"orders_rw\".\"orders_a\" TO \"new\"\"one_a\"",
        ),
        (
            "GRANT ALL(\"orders_a\",\"to\") ON TABLE x TO orders_b WITH GRANT OPTION",
            "GRANT ALL(\"orders_a\",\"to\") ON TABLE x TO \"new\"\"one_b\" WITH GRANT OPTION",
        ),
        (
            "REVOKE ALL ON SCHEMA \"orders_rw\" FROM \"orders_rw\"",
            "REVOKE ALL ON SCHEMA \"orders_rw\" FROM \"new\"\"one_rw\"",
        ),
        ("GRANT ALL ON SCHEMA x TO PUBLIC", "GRANT ALL ON SCHEMA x TO PUBLIC"),
        ("GRANT ALL ON SCHEMA x TO \"other\"", "GRANT ALL ON SCHEMA x TO \"other\""),
        (
            "ALTER DEFAULT PRIVILEGES FOR ROLE \"orders_rw\" IN SCHEMA \"orders_a\" GRANT SELECT ON TABLES TO \"orders_own\"",
            "ALTER DEFAULT PRIVILEGES FOR ROLE \"new\"\"one_rw\" IN SCHEMA \"orders_a\" GRANT SELECT ON TABLES TO \"new\"\"one_own\"",
        ),
        (
            "ALTER DEFAULT PRIVILEGES FOR ROLE orders_rw REVOKE ALL ON FUNCTIONS FROM PUBLIC, orders_a",
            "ALTER DEFAULT PRIVILEGES FOR ROLE \"new\"\"one_rw\" REVOKE ALL ON FUNCTIONS FROM PUBLIC, \"new\"\"one_a\"",
        ),
        (
            "CREATE POLICY \"orders_a\" ON \"s\".\"orders_a\" FOR SELECT TO \"orders_a\", \"orders_b\" USING ((\"orders_a\" = 'orders_a'))",
            "CREATE POLICY \"orders_a\" ON \"s\".\"orders_a\" FOR SELECT TO \"new\"\"one_a\", \"new\"\"one_b\" USING ((\"orders_a\" = 'orders_a'))",
        ),
        (
            "CREATE USER MAPPING FOR \"orders_rw\" SERVER \"orders_a\"",
            "CREATE USER MAPPING FOR \"new\"\"one_rw\" SERVER \"orders_a\"",
        ),
    ] {
        assert_eq!(is(statement).unwrap(), rewritten);
    }
}

#[test]
fn default_privileges_of_others_are_left_out() {
    // Nobody but that role may set them.
    assert_eq!(
        is("ALTER DEFAULT PRIVILEGES FOR ROLE \"other\" GRANT SELECT ON TABLES TO \"orders_a\""),
        None
    );
}

#[test]
fn other_statements_stay_as_they_are() {
    for statement in [
        "COMMENT ON TABLE \"orders_rw\" IS 'TO orders_rw'",
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'GRANT x TO orders_a'",
        "CREATE POLICY p ON t USING (true)",
        "CREATE SCHEMA \"app\"",
        "CREATE EXTENSION IF NOT EXISTS \"hstore\" WITH SCHEMA \"public\"",
        "SET default_tablespace = ''",
        "COMMENT ON SCHEMA \"public\" IS 'x'",
    ] {
        assert_eq!(is(statement).as_deref(), Some(statement));
    }
}

#[test]
fn what_is_there_is_not_made_again() {
    for statement in [
        "CREATE SCHEMA \"App\"",
        "CREATE SCHEMA public",
        "CREATE EXTENSION IF NOT EXISTS \"uuid-ossp\" WITH SCHEMA \"public\"",
        "CREATE EXTENSION pgcrypto",
        "COMMENT ON EXTENSION \"hstore\" IS 'x'",
        "SET transaction_timeout = 0",
        "SET statement_timeout = 0",
        "SET SESSION AUTHORIZATION 'x'",
        "RESET SESSION AUTHORIZATION",
    ] {
        assert_eq!(is(statement), None, "{statement}");
    }
}

#[test]
fn only_indexes_and_keys_run_beside_others() {
    for (statement, table) in [
        ("CREATE INDEX \"i\" ON \"s\".\"t\" USING \"btree\" (\"a\")", Some("s.t")),
        ("CREATE UNIQUE INDEX \"i\" ON ONLY \"s\".\"t.x\" USING \"btree\" (\"a\")", Some("s.t.x")),
        ("ALTER TABLE ONLY \"s\".\"t\"\n    ADD CONSTRAINT \"k\" PRIMARY KEY (\"a\")", Some("s.t")),
        ("ALTER TABLE ONLY \"s\".\"t\" ADD CONSTRAINT \"k\" UNIQUE (\"a\")", Some("s.t")),
        (
            "ALTER TABLE ONLY \"s\".\"t\" ADD CONSTRAINT \"k\" FOREIGN KEY (\"a\") REFERENCES \"s\".\"u\"(\"a\")",
            None,
        ),
        ("ALTER INDEX \"s\".\"i\" ATTACH PARTITION \"s\".\"j\"", None),
        ("ALTER TABLE \"s\".\"t\" CLUSTER ON \"unique\"", None),
        ("COMMENT ON INDEX \"s\".\"i\" IS 'CREATE INDEX'", None),
        ("CREATE TRIGGER \"x\" AFTER INSERT ON \"s\".\"t\"", None),
    ] {
        assert_eq!(index_of(statement).as_deref(), table, "{statement}");
    }
}

#[test]
fn a_title_holds_no_string() {
    let statement = "CREATE USER MAPPING FOR \"a\" SERVER \"b\" OPTIONS (password 'hunter2')";
    assert_eq!(title(statement), "CREATE USER MAPPING FOR \"a\" SERVER \"b\" OPTIONS");
    assert_eq!(title("ALTER TABLE ONLY \"s\".\"t\" ADD x"), "ALTER TABLE ONLY \"s\".\"t\" ADD x");
}
