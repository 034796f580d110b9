//! How a program with libpq connects as our own sessions do.

use std::ffi::OsString;

use driver_api::kit::memory_file::MemoryFile;
use driver_api::{Result, Server, TlsMode};

use crate::layout::Layout;
use crate::settings::moving;

/// The public authorities, where the image and Debian have them.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The program's environment. Everybody on the machine can read a command line, so that nothing of
/// this is on it.
pub(crate) fn environment(
    server: &Server,
    layout: &Layout,
    server_major: i32,
    files: &mut Vec<MemoryFile>,
) -> Result<Vec<(&'static str, OsString)>> {
    let tls = &server.tls;
    let mut variables: Vec<(&str, OsString)> = vec![
        ("PGHOST", server.host.clone().into()),
        ("PGPORT", server.port.to_string().into()),
        ("PGUSER", server.admin.username.clone().into()),
        ("PGPASSWORD", server.admin.password.expose().into()),
        ("PGDATABASE", layout.database.clone().into()),
        ("PGOPTIONS", moving(server_major).into()),
        ("PGAPPNAME", "db-operator".into()),
        ("PGCONNECT_TIMEOUT", "10".into()),
        ("PGGSSENCMODE", "disable".into()),
        // Files of a home folder would add to what is said here.
        ("HOME", "/nonexistent".into()),
        ("LC_ALL", "C".into()),
    ];
    let mode = match tls.mode {
        TlsMode::Disable => "disable",
        TlsMode::Require => "require",
        TlsMode::VerifyCa => "verify-ca",
        TlsMode::VerifyFull => "verify-full",
    };
    variables.push(("PGSSLMODE", mode.into()));
    let authorities = match (tls.mode, &tls.ca) {
        // It would check them, and should not.
        (TlsMode::Disable | TlsMode::Require, _) => None,
        (TlsMode::VerifyCa | TlsMode::VerifyFull, None) => Some(AUTHORITIES.into()),
        (TlsMode::VerifyCa | TlsMode::VerifyFull, Some(ca)) => Some(file(ca, files)?),
    };
    variables.extend(authorities.map(|path| ("PGSSLROOTCERT", path)));
    if let Some((certificate, key)) = &tls.client_certificate {
        variables.push(("PGSSLCERT", file(certificate, files)?));
        variables.push(("PGSSLKEY", file(key.expose(), files)?));
    }
    Ok(variables)
}

/// The path of a file in memory that holds `text`.
fn file(text: &str, files: &mut Vec<MemoryFile>) -> Result<OsString> {
    let file = MemoryFile::new(text)?;
    let path = file.path();
    files.push(file);
    Ok(path.into())
}

#[cfg(test)]
mod tests {
    use driver_api::{Login, Mark, Secret, ServerTls, Target};

    use super::*;

    #[test]
    fn tls_is_as_strict_as_our_own() {
        let layout = Layout::of(&Target::new("orders", Mark::new("c", "u"), 63));
        let ca = || Some("PEM".to_owned());
        for (mode, ca, name, authorities) in [
            (TlsMode::Disable, ca(), "disable", None),
            (TlsMode::Require, ca(), "require", None),
            (TlsMode::VerifyCa, ca(), "verify-ca", Some("/proc/self/fd/")),
            (TlsMode::VerifyFull, ca(), "verify-full", Some("/proc/self/fd/")),
            (TlsMode::VerifyFull, None, "verify-full", Some(AUTHORITIES)),
        ] {
            let login = Login::new("admin", Secret::new("p"));
            let server = Server::new("db", 5432, ServerTls::new(mode, ca), login);
            let mut files = Vec::new();
            let variables = environment(&server, &layout, 17, &mut files).unwrap();
            let is =
                |name| variables.iter().find(|(is, _)| *is == name).map(|(_, value)| value.to_str().unwrap());
            assert_eq!(is("PGSSLMODE"), Some(name));
            assert_eq!(is("PGSSLROOTCERT").is_some(), authorities.is_some());
            assert!(is("PGSSLROOTCERT").unwrap_or_default().starts_with(authorities.unwrap_or_default()));
            assert_eq!(is("HOME"), Some("/nonexistent"));
        }
    }
}
