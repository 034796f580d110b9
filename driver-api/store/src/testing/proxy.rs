//! A way to the server on which things go wrong.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

use super::endpoint;
use crate::target::StoreTarget;

/// A request, as a rule sees it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Such as `PUT`.
    pub method: String,
    /// The path and the query.
    pub path: String,
    /// All header lines, in lower case.
    pub headers: String,
}

impl Asked {
    /// Whether it is for a part of a multipart upload.
    pub fn is_part(&self) -> bool {
        self.method == "PUT" && self.path.contains("partNumber=")
    }

    /// Whether it completes a multipart upload.
    pub fn is_complete(&self) -> bool {
        self.method == "POST" && self.path.contains("uploadId=")
    }

    /// Whether it writes a manifest.
    pub fn is_manifest(&self) -> bool {
        self.method == "PUT" && self.path.ends_with("/manifest.json")
    }
}

/// What happens to a request.
#[derive(Clone, Debug)]
pub enum Fate {
    /// The server answers it.
    Pass,
    /// This answers it.
    Answer(u16, &'static str),
    /// The connection breaks after so many bytes of its body.
    CutRequest(usize),
    /// The server does it, and the connection breaks before the answer.
    LoseAnswer,
    /// The connection breaks after so many bytes of the answer.
    CutAnswer(usize),
    /// The server answers it once this is true.
    Hold(watch::Receiver<bool>),
    /// Who asks is killed, after the server has done it or before.
    Kill { after: bool, killer: Arc<Notify> },
}

/// What has been asked so far, and what a rule decided.
pub type Log = Arc<Mutex<Vec<(Asked, Fate)>>>;

/// `target` through a proxy in which `rule` decides.
pub async fn through(
    target: &StoreTarget,
    mut rule: impl FnMut(&Asked) -> Fate + Send + 'static,
) -> (StoreTarget, Log) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = StoreTarget {
        endpoint: Some(format!("http://{}", listener.local_addr().unwrap())),
        ..target.clone()
    };
    let log = Log::default();
    let kept = Arc::clone(&log);
    tokio::spawn(async move {
        let rule: Arc<Mutex<_>> = Arc::new(Mutex::new(move |asked: &Asked| rule(asked)));
        while let Ok((stream, _)) = listener.accept().await {
            let (rule, kept) = (Arc::clone(&rule), Arc::clone(&kept));
            tokio::spawn(async move {
                // A client that hangs up is no affair of the proxy.
                let _ = serve(stream, &kept, |asked| (rule.lock().unwrap())(asked)).await;
            });
        }
    });
    (target, log)
}

/// Serves one request, and closes the connection.
async fn serve(mut client: TcpStream, log: &Log, rule: impl FnOnce(&Asked) -> Fate) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let (line, headers) = head.split_once("\r\n").unwrap();
    let mut words = line.split(' ').map(str::to_owned);
    let asked =
        Asked { method: words.next().unwrap(), path: words.next().unwrap(), headers: headers.to_lowercase() };
    let length: usize = asked
        .headers
        .lines()
        .find_map(|header| header.strip_prefix("content-length: ")?.trim().parse().ok())
        .unwrap_or_default();
    let fate = rule(&asked);
    log.lock().unwrap().push((asked, fate.clone()));
    if let Fate::Hold(mut go) = fate.clone() {
        let _ = go.wait_for(|go| *go).await;
    }
    if let Fate::CutRequest(after) = fate {
        let mut some = vec![0; after.min(length)];
        client.read_exact(&mut some).await?;
        return Ok(());
    }
    if let Fate::Kill { after: false, killer } = &fate {
        killer.notify_one();
        return wait_for_end(client).await;
    }
    let mut body = vec![0; length];
    client.read_exact(&mut body).await?;
    if let Fate::Answer(status, body) = fate {
        let answer = format!(
            "HTTP/1.1 {status} so it is\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        return client.write_all(answer.as_bytes()).await;
    }
    let mut server = TcpStream::connect(endpoint().trim_start_matches("http://")).await?;
    server.write_all(format!("{line}\r\nconnection: close\r\n{headers}").as_bytes()).await?;
    server.write_all(&body).await?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).await?;
    match fate {
        Fate::LoseAnswer => Ok(()),
        Fate::Kill { killer, .. } => {
            killer.notify_one();
            wait_for_end(client).await
        }
        Fate::CutAnswer(after) => client.write_all(&answer[..after.min(answer.len())]).await,
        Fate::Pass | Fate::Answer(..) | Fate::CutRequest(_) | Fate::Hold(_) => {
            client.write_all(&answer).await
        }
    }
}

/// Answers nothing until the client hangs up.
async fn wait_for_end(mut client: TcpStream) -> std::io::Result<()> {
    let mut rest = [0; 4096];
    while client.read(&mut rest).await? > 0 {}
    Ok(())
}
