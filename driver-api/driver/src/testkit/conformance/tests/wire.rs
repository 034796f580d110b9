//! A way to the engine in memory on which something can go wrong: a round trip before and after each effect.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::error::{DriverError, ErrorKind, Result};
use crate::server::Server;
use crate::testkit::conformance::tests::flaw::Flaw;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(3);

/// A port at which somebody answers `ok` to each line, as long as the process lives.
pub(super) fn serve() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut line = [0; 4];
                while stream.read_exact(&mut line).is_ok() && stream.write_all(b"ok!\n").is_ok() {}
            });
        }
    });
    port
}

/// Where nobody listens: a wire to it is a step of the scheduler, so that two runs are interrupted at the same places.
pub(super) const NOWHERE: u16 = 1;

/// A connection.
#[derive(Debug)]
pub(super) struct Wire {
    /// None goes nowhere.
    stream: Option<TcpStream>,
    flaw: Option<Flaw>,
}

impl Wire {
    pub(super) async fn connect(server: &Server, flaw: Option<Flaw>) -> Result<Self> {
        let tries = if flaw == Some(Flaw::Retries) { 5 } else { 1 };
        let mut last = None;
        for _ in 0..tries {
            match Self::try_connect(server, flaw).await {
                Ok(wire) => return Ok(wire),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap())
    }

    async fn try_connect(server: &Server, flaw: Option<Flaw>) -> Result<Self> {
        if server.port == NOWHERE {
            return Ok(Self { stream: None, flaw });
        }
        let opened = TcpStream::connect((server.host.as_str(), server.port)).await;
        let stream = opened.map_err(|error| {
            let is_unknown = error.kind() != std::io::ErrorKind::ConnectionRefused;
            let kind = match flaw {
                Some(Flaw::UnknownHostIsInternal) if is_unknown => ErrorKind::Internal,
                Some(Flaw::ClosedPortIsInternal) if !is_unknown => ErrorKind::Internal,
                _ => ErrorKind::Unreachable,
            };
            DriverError::new(kind, format!("cannot connect to {server}")).with_source(error)
        })?;
        let mut wire = Self { stream: Some(stream), flaw };
        wire.ask().await?;
        Ok(wire)
    }

    /// A round trip.
    pub(super) async fn ask(&mut self) -> Result<()> {
        let flaw = self.flaw;
        let Some(stream) = &mut self.stream else {
            tokio::task::yield_now().await;
            return Ok(());
        };
        let trip = async {
            stream.write_all(b"ask\n").await?;
            stream.read_exact(&mut [0; 4]).await
        };
        let answered = if flaw == Some(Flaw::WaitsForever) {
            trip.await
        } else {
            timeout(TIMEOUT, trip).await.unwrap_or_else(|late| Err(late.into()))
        };
        let kind =
            if flaw == Some(Flaw::CutIsInternal) { ErrorKind::Internal } else { ErrorKind::Unreachable };
        answered.map(drop).map_err(|error| DriverError::new(kind, "the connection broke").with_source(error))
    }
}
