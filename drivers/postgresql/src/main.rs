//! The container of the PostgreSQL driver.

use std::process::ExitCode;

fn main() -> ExitCode {
    driver_api::container::run(&db_operator_driver_postgresql::PostgresqlDriver)
}
