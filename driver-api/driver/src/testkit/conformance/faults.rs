//! Each fault has its kind, in bounded time, and after each a whole run finishes.

use std::future::Future;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Instant;

use tokio::net::TcpSocket;
use tokio::time::timeout;

use crate::error::{DriverError, ErrorKind, Result};
use crate::secret::Secret;
use crate::server::{Login, ServerTls, TlsMode};
use crate::testkit::OTHER_AUTHORITY;
use crate::testkit::conformance::case::{Case, Failure, Kit, Outcome, ensure, refused, same};
use crate::testkit::conformance::death::next;
use crate::testkit::conformance::harness::{Ability, Harness};
use crate::testkit::conformance::proxy::{Cut, Proxy};
use crate::testkit::dump::{MemoryDump, MemorySink};

/// A port of this machine on which nothing listens.
/// A port that is taken and on which nobody listens, as long as the socket is kept.
fn closed_port() -> std::io::Result<(TcpSocket, u16)> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let port = socket.local_addr()?.port();
    Ok((socket, port))
}

async fn in_time<H: Harness, T>(kit: &Kit<H>, what: &str, work: impl Future<Output = T>) -> Outcome<T> {
    let ended = timeout(kit.harness.patience(), work).await;
    ended.map_err(|_| Failure(format!("{what} does not end in {:?}", kit.harness.patience())))
}

/// "`AuthenticationFailed` and `Unsupported` MUST be told apart", and `Unreachable` from all of them: a port on which
/// nothing listens, and it is named.
pub async fn a_closed_port_is_unreachable<H: Harness>(kit: &Kit<H>) -> Outcome {
    if !kit.is_able(Ability::Tcp) {
        return Ok(());
    }
    let mut case = kit.case("a");
    let (_socket, port) = closed_port().map_err(|error| error.to_string())?;
    (case.server.host, case.server.port) = ("127.0.0.1".to_owned(), port);
    let connected = in_time(kit, "a closed port", case.connect()).await?.map(drop);
    let error = refused("a closed port", connected, &[ErrorKind::Unreachable])?;
    let (text, port) = (error.chain(), case.server.port.to_string());
    ensure(text.contains(&port), || format!("the port {port} is not named: {text}"))
}

/// "`Unreachable`, …, MUST be told apart": a host that has no address, and it is named.
pub async fn an_unknown_host_is_unreachable<H: Harness>(kit: &Kit<H>) -> Outcome {
    if !kit.is_able(Ability::Tcp) {
        return Ok(());
    }
    let mut case = kit.case("a");
    "no-such-host.invalid".clone_into(&mut case.server.host);
    let connected = in_time(kit, "an unknown host", case.connect()).await?.map(drop);
    let text = refused("an unknown host", connected, &[ErrorKind::Unreachable])?.chain();
    ensure(text.contains(&case.server.host), || format!("the host is not named: {text}"))
}

/// "`AuthenticationFailed` … MUST be told apart": an administrator's wrong password, and a name that nobody has.
pub async fn a_wrong_login_is_authentication_failed<H: Harness>(kit: &Kit<H>) -> Outcome {
    let mut case = kit.case("a");
    let right = case.server.admin.clone();
    for (username, password) in
        [(right.username.as_str(), "wrong"), (right.username.as_str(), ""), ("nobody'; --", "wrong")]
    {
        case.server.admin = Login::new(username, Secret::new(password));
        let connected = in_time(kit, "a wrong login", case.connect()).await?.map(drop);
        refused(&format!("{username} with {password:?}"), connected, &[ErrorKind::AuthenticationFailed])?;
    }
    case.server.admin = right;
    Ok(case.is_free().await?)
}

/// "A method MUST bound its own time (connecting: 10 seconds)": a server that takes the connection and never says a word.
pub async fn silence_ends_in_time<H: Harness>(kit: &Kit<H>) -> Outcome {
    if !kit.is_able(Ability::Tcp) {
        return Ok(());
    }
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
    let port = silent.local_addr().map_err(|error| error.to_string())?.port();
    let mut case = kit.case("a");
    (case.server.host, case.server.port) = ("127.0.0.1".to_owned(), port);
    let connected = in_time(kit, "a server that says nothing", case.connect()).await?.map(drop);
    refused("a server that says nothing", connected, &[ErrorKind::Unreachable]).map(drop)
}

/// "and MUST NOT retry; the runtime does.": to a server that hangs up goes one connection. An engine may need another to
/// ask without TLS.
pub async fn nothing_is_retried<H: Harness>(kit: &Kit<H>) -> Outcome {
    if !kit.is_able(Ability::Tcp) {
        return Ok(());
    }
    let mut case = kit.case("a");
    let proxy = Proxy::start(&case.server, Cut::Always).map_err(|error| error.to_string())?;
    case.server = proxy.server(&case.server);
    let connected = in_time(kit, "a server that hangs up", case.connect()).await?.map(drop);
    refused("a server that hangs up", connected, &[ErrorKind::Unreachable])?;
    let connections = proxy.connections();
    ensure((1..=2).contains(&connections), || format!("it was tried {connections} times"))
}

/// "`TlsRefused`, `Untrusted` … MUST be told apart": a server without TLS, and one whose certificate another authority
/// signed.
pub async fn tls_is_as_strict_as_its_mode<H: Harness>(kit: &Kit<H>) -> Outcome {
    if !kit.is_able(Ability::Tcp) {
        return Ok(());
    }
    let mut case = kit.case("a");
    let others = || Some(OTHER_AUTHORITY.to_owned());
    if !kit.is_able(Ability::Tls) {
        for mode in [TlsMode::Require, TlsMode::VerifyCa, TlsMode::VerifyFull] {
            case.server.tls = ServerTls::new(mode, others());
            let connected = in_time(kit, "a server without TLS", case.connect()).await?.map(drop);
            refused(&format!("{mode:?} of a server without TLS"), connected, &[ErrorKind::TlsRefused])?;
        }
        return Ok(());
    }
    case.is_free().await?;
    case.server.tls = ServerTls::new(TlsMode::Require, None);
    case.is_free().await?;
    for mode in [TlsMode::VerifyCa, TlsMode::VerifyFull] {
        case.server.tls = ServerTls::new(mode, others());
        let connected = in_time(kit, "another authority", case.connect()).await?.map(drop);
        refused(&format!("{mode:?} with another authority"), connected, &[ErrorKind::Untrusted])?;
    }
    Ok(())
}

/// What a driver said is done, and is not.
#[allow(clippy::needless_pass_by_value, reason = "it goes into `map_err`")]
fn untrue(failure: Failure) -> DriverError {
    DriverError::new(ErrorKind::Internal, failure.to_string())
}

/// Runs `work` through a proxy that cuts at each read, until it ends uncut: each time `before` comes first, and `after` has
/// to finish what was begun. `work` gets the database through the proxy, and past it.
async fn cut_at_every_read<H: Harness>(
    kit: &Kit<H>,
    before: impl AsyncFn(&Case<H>) -> Outcome,
    work: impl AsyncFn(&Case<H>, &Case<H>) -> Result<()>,
    after: impl AsyncFn(&Case<H>) -> Outcome,
) -> Outcome {
    if !kit.is_able(Ability::Tcp) {
        return Ok(());
    }
    let (mut at, begin) = (1, Instant::now());
    loop {
        let case = kit.case(&format!("n{at}"));
        before(&case).await?;
        case.is_free().await?;
        let proxy = Proxy::start(&case.server, Cut::AtRead(at)).map_err(|error| error.to_string())?;
        let mut through = case.clone();
        through.server = proxy.server(&case.server);
        let told = |what: String| Failure(format!("cut at read {at}: {what}"));
        let result = in_time(kit, "a run whose connection is cut", work(&through, &case)).await?;
        let has_cut = proxy.has_cut();
        drop(proxy);
        match result {
            Ok(()) => {}
            Err(error) if has_cut && error.kind() == ErrorKind::Unreachable => {}
            Err(error) => {
                let wanted = if has_cut { "Unreachable" } else { "no error, for nothing is cut" };
                return Err(told(format!("it is {:?}, not {wanted}: {}", error.kind(), error.chain())));
            }
        }
        after(&case).await.map_err(|failure| told(failure.to_string()))?;
        if !has_cut {
            return ensure(at > 1, || format!("nothing was read in {:?}", begin.elapsed()));
        }
        at = next(at, kit.harness.thorough());
    }
}

/// "the runtime repeats it after a crash at any point": `ensure_present`, whose connection is cut at each read.
/// One that says it is done has done it.
pub async fn present_survives_a_cut_at_every_read<H: Harness>(kit: &Kit<H>) -> Outcome {
    let work = async |through: &Case<H>, case: &Case<H>| {
        through.present().await?;
        case.is_complete().await.map_err(untrue)
    };
    let after = async |case: &Case<H>| {
        case.present().await?;
        case.is_complete().await?;
        Ok(case.absent().await?)
    };
    cut_at_every_read(kit, async |_| Ok(()), work, after).await
}

/// "the runtime repeats it after a crash at any point": `lock_out` and `ensure_absent`. One that says it is done has done it.
pub async fn absent_survives_a_cut_at_every_read<H: Harness>(kit: &Kit<H>) -> Outcome {
    let work = async |through: &Case<H>, case: &Case<H>| {
        through.lock_out().await?;
        if case.tenant().await.is_ok() {
            return Err(untrue("the login works after a lock-out".into()));
        }
        through.absent().await?;
        case.is_absent().await.map_err(untrue)
    };
    let after = async |case: &Case<H>| {
        case.absent().await?;
        case.is_absent().await
    };
    cut_at_every_read(kit, async |case| Ok(case.present().await?), work, after).await
}

/// "MUST fail rather than leave something out": a dump whose connection is cut fails, or is whole.
pub async fn a_dump_survives_a_cut_at_every_read<H: Harness>(kit: &Kit<H>) -> Outcome {
    let whole = kit.case("whole");
    let work = async |through: &Case<H>, case: &Case<H>| {
        let sink = MemorySink::default();
        let description = through.dump_to(&sink).await?;
        let dump = sink.complete(description)?;
        let clone = whole.clone();
        let loaded = async {
            clone.restore(&dump).await?;
            same("the content of a dump that was cut", &clone.content().await?, &case.content().await?)?;
            Ok::<_, Failure>(clone.absent().await?)
        };
        loaded.await.map_err(untrue)
    };
    let after = async |case: &Case<H>| Ok(case.absent().await?);
    cut_at_every_read(kit, async |case| case.present_and_filled().await, work, after).await
}

/// "It MUST count the rows, and fail": a load whose connection is cut fails, or is whole.
pub async fn a_load_survives_a_cut_at_every_read<H: Harness>(kit: &Kit<H>) -> Outcome {
    let source = kit.case("source");
    source.present_and_filled().await?;
    let (dump, content): (MemoryDump, _) = (source.dump().await?, source.content().await?);
    let work = async |through: &Case<H>, case: &Case<H>| {
        through.load(&dump).await?;
        let loaded = async { same("content", &case.content().await?, &content) };
        loaded.await.map_err(untrue)
    };
    let after = async |case: &Case<H>| {
        case.absent().await?;
        case.restore(&dump).await?;
        same("content of the next load", &case.content().await?, &content)?;
        Ok(case.absent().await?)
    };
    cut_at_every_read(kit, async |case| Ok(case.present().await?), work, after).await
}
