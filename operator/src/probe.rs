//! `db-operator --probe URL`: whether an operator answers. The chart's test runs it, for the image has no shell.

use std::time::Duration;

use clap::Parser;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The one flag of a probe.
#[derive(Debug, Parser)]
#[command(name = "db-operator", max_term_width = 110)]
pub struct Probe {
    /// An `http` URL of a running operator, such as `http://db-operator-metrics.db-operator.svc:8080/readyz`.
    #[arg(long)]
    probe: Uri,
}

impl Probe {
    /// The probe that this program's arguments ask for, if they do.
    pub fn asked_for() -> Option<Self> {
        std::env::args().any(|argument| argument.starts_with("--probe")).then(Self::parse)
    }

    /// Asks once.
    ///
    /// # Errors
    ///
    /// A sentence that says what came instead of status 200.
    pub async fn ask(&self) -> Result<(), String> {
        let url = &self.probe;
        let answer = tokio::time::timeout(PATIENCE, status(url)).await;
        match answer.map_err(|_| format!("{url} does not answer within {} s", PATIENCE.as_secs()))? {
            Ok(StatusCode::OK) => Ok(()),
            Ok(status) => Err(format!("{url} answers {status}")),
            Err(error) => Err(format!("cannot ask {url}: {error}")),
        }
    }
}

async fn status(url: &Uri) -> Result<StatusCode, Box<dyn std::error::Error + Send + Sync>> {
    let host = url.host().ok_or("it has no host")?;
    let stream = TcpStream::connect((host, url.port_u16().unwrap_or(80))).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path).header("host", host).body(Empty::<Bytes>::new())?;
    let status = sender.send_request(request).await?.status();
    connection.abort();
    Ok(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answer_of(answer: &'static str) -> Result<(), String> {
        use tokio::io::AsyncWriteExt;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let probe =
            Probe { probe: format!("http://{}/readyz", listener.local_addr().unwrap()).parse().unwrap() };
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        let answer = probe.ask().await;
        served.await.unwrap();
        answer
    }

    #[tokio::test]
    async fn only_200_is_an_answer() {
        assert_eq!(answer_of("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await, Ok(()));
        let refused =
            answer_of("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").await.unwrap_err();
        assert!(refused.ends_with("answers 503 Service Unavailable"), "{refused}");
        let nobody = Probe { probe: "http://127.0.0.1:9/".parse().unwrap() }.ask().await.unwrap_err();
        assert!(nobody.starts_with("cannot ask"), "{nobody}");
    }
}
