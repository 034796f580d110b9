//! A way to a server on which connections are cut.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::server::Server;

/// Which connections are cut, and when. A cut goes through the middle of what is read, so who reads it gets a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// None.
    Never,
    /// The one that carries that read, counted from 1 over all connections and both directions.
    AtRead(usize),
    /// Each at its first read.
    Always,
}

/// What went through.
#[derive(Debug, Default)]
struct Counts {
    connections: AtomicUsize,
    reads: AtomicUsize,
    bytes: AtomicUsize,
    cuts: AtomicUsize,
}

/// A proxy in a thread of its own, so that also who blocks comes through. It ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    counts: Arc<Counts>,
    stop: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// A proxy in front of that server.
    ///
    /// # Errors
    ///
    /// If the system gives no port or no thread.
    pub fn start(server: &Server, cut: Cut) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (counts, stop) = (Arc::<Counts>::default(), Arc::new(Notify::new()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let work =
            serve(listener, (server.host.clone(), server.port), cut, Arc::clone(&counts), Arc::clone(&stop));
        let thread = std::thread::Builder::new().name("proxy".to_owned()).spawn(move || {
            // Who connects to a listener that fails is told so.
            let _ = runtime.block_on(work);
        })?;
        Ok(Self { address, counts, stop, thread: Some(thread) })
    }

    /// The same server through this proxy.
    pub fn server(&self, server: &Server) -> Server {
        let (host, port) = (self.address.ip().to_string(), self.address.port());
        Server { host, port, ..server.clone() }
    }

    /// How many connections came.
    pub fn connections(&self) -> usize {
        self.counts.connections.load(Ordering::SeqCst)
    }

    /// How many reads there were, and how many bytes they had.
    pub fn reads(&self) -> (usize, usize) {
        (self.counts.reads.load(Ordering::SeqCst), self.counts.bytes.load(Ordering::SeqCst))
    }

    /// Whether a connection was cut.
    pub fn has_cut(&self) -> bool {
        self.counts.cuts.load(Ordering::SeqCst) > 0
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(
    listener: std::net::TcpListener,
    server: (String, u16),
    cut: Cut,
    counts: Arc<Counts>,
    stop: Arc<Notify>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (client, _) = tokio::select! {
            accepted = listener.accept() => accepted?,
            () = stop.notified() => return Ok(()),
        };
        counts.connections.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(relay(client, server.clone(), cut, Arc::clone(&counts)));
    }
}

/// Carries one connection to its end or its cut; either ends both directions.
async fn relay(client: TcpStream, server: (String, u16), cut: Cut, counts: Arc<Counts>) {
    let Ok(server) = TcpStream::connect((server.0.as_str(), server.1)).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::select! {
        () = carry(from_client, to_server, cut, &counts) => {}
        () = carry(from_server, to_client, cut, &counts) => {}
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, cut: Cut, counts: &Counts) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else { return };
        let number = counts.reads.fetch_add(1, Ordering::SeqCst) + 1;
        counts.bytes.fetch_add(length, Ordering::SeqCst);
        let is_cut = match cut {
            Cut::Never => false,
            Cut::AtRead(at) => at == number,
            Cut::Always => true,
        };
        let passed = buffer.get(..if is_cut { length / 2 } else { length }).unwrap_or_default();
        if is_cut {
            counts.cuts.fetch_add(1, Ordering::SeqCst);
        }
        let sent = to.write_all(passed).await;
        if is_cut || sent.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::secret::Secret;
    use crate::server::{Login, ServerTls, TlsMode};

    use super::*;

    /// What comes back of `12345678` from an echo behind a proxy.
    async fn echo(cut: Cut) -> (Vec<u8>, Proxy) {
        let echo = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = echo.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let mut client = echo.accept().unwrap().0;
            io::copy(&mut client.try_clone().unwrap(), &mut client)
        });
        let admin = Login::new("admin", Secret::new("x"));
        let server = Server::new("127.0.0.1", port, ServerTls::new(TlsMode::Disable, None), admin);
        let proxy = Proxy::start(&server, cut).unwrap();
        let through = proxy.server(&server);
        let mut stream = TcpStream::connect((through.host.as_str(), through.port)).await.unwrap();
        stream.write_all(b"12345678").await.unwrap();
        let mut back = vec![0; 8];
        // A cut ends it, by an end or by a reset.
        let length = stream.read(&mut back).await.unwrap_or_default();
        back.truncate(length);
        (back, proxy)
    }

    #[tokio::test]
    async fn reads_are_counted_and_cut_in_their_middle() {
        for (cut, expected) in
            [(Cut::Never, "12345678"), (Cut::AtRead(2), "1234"), (Cut::AtRead(3), "12345678")]
        {
            let (back, proxy) = echo(cut).await;
            assert_eq!(String::from_utf8_lossy(&back), expected, "{cut:?}");
            assert_eq!((proxy.connections(), proxy.reads()), (1, (2, 16)));
            assert_eq!(proxy.has_cut(), cut == Cut::AtRead(2));
        }
        // Half of the question comes back as half of a half, or not at all.
        for cut in [Cut::AtRead(1), Cut::Always] {
            let (back, proxy) = echo(cut).await;
            assert!(back.len() < 4 && proxy.has_cut(), "{cut:?}: {back:?}");
        }
    }
}
