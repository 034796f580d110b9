//! The container of the MySQL and MariaDB driver.

use std::process::ExitCode;

// musl's asks the kernel for every larger buffer, which costs an eighth of the CPU time of a backup.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    driver_api::run(&db_operator_driver_mysql::MysqlDriver)
}
