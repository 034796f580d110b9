//! Who can log in, and with what.

use std::collections::BTreeMap;

use crate::driver::Driver as _;
use crate::secret::Secret;
use crate::server::Login;
use crate::testkit::conformance::case::{Case, Kit, Outcome, PASSWORD, ensure, same};
use crate::testkit::conformance::harness::Harness;

async fn gets_in<H: Harness>(case: &Case<H>, username: &str, password: &str) -> bool {
    let login = Login::new(username, Secret::new(password));
    case.harness.log_in(&case.target, &login).await.is_ok()
}

/// "Makes the database and its logins as desired": the login works with its password, and with no other.
pub async fn the_login_works_with_its_password_only<H: Harness>(kit: &Kit<H>) -> Outcome {
    let case = kit.case("a");
    case.present().await?;
    case.commit(&["one"]).await?;
    for wrong in ["", "wrong", &PASSWORD.to_uppercase(), &PASSWORD[..PASSWORD.len() - 1]] {
        let is_in = gets_in(&case, &case.target.active_login, wrong).await;
        ensure(!is_in, || format!("the login works with the password {wrong:?}"))?;
    }
    Ok(())
}

/// "and proves by logging in that the login works": a password that is not the one is told.
pub async fn a_wrong_password_is_told<H: Harness>(kit: &Kit<H>) -> Outcome {
    let case = kit.case("a");
    case.present().await?;
    let differences = case.clone().with_password("another").differences().await?;
    ensure(!differences.is_empty(), || "another password is desired, and nothing differs".to_owned())?;
    case.is_complete().await
}

/// "Makes the database and its logins as desired": a new password works, and the old one no longer.
pub async fn a_new_password_replaces_the_old<H: Harness>(kit: &Kit<H>) -> Outcome {
    let case = kit.case("a");
    case.present().await?;
    let case = case.with_password("another");
    case.present().await?;
    case.is_complete().await?;
    let is_in = gets_in(&case, &case.target.active_login, PASSWORD).await;
    ensure(!is_in, || "the old password still works".to_owned())
}

/// "It exists and cannot log in, until a rotation takes it into use.": the standby login.
pub async fn the_standby_login_cannot_log_in<H: Harness>(kit: &Kit<H>) -> Outcome {
    let case = kit.case("a");
    case.present().await?;
    for password in [PASSWORD, "", &case.target.standby_login] {
        let is_in = gets_in(&case, &case.target.standby_login, password).await;
        ensure(!is_in, || format!("the standby login works with the password {password:?}"))?;
    }
    Ok(())
}

/// "Makes the database and its logins as desired": a login gets into its own database, and into no other.
pub async fn a_login_gets_into_its_own_database_only<H: Harness>(kit: &Kit<H>) -> Outcome {
    let labels = ["a", "b", "a_", "a_a", "ab", "axb"];
    let cases = labels.map(|label| kit.case(label));
    for case in &cases {
        case.present().await?;
        case.is_complete().await?;
    }
    for of in &cases {
        for into in cases.iter().filter(|into| into.target.name != of.target.name) {
            let is_in = gets_in(into, &of.target.active_login, PASSWORD).await;
            ensure(!is_in, || format!("{} gets into {}", of.target.active_login, into.target.name))?;
        }
    }
    Ok(())
}

fn binding<H: Harness>(case: &Case<H>) -> BTreeMap<String, String> {
    case.harness.driver().binding(&case.server, &case.target, &case.login)
}

/// "these MUST NOT be among them": what the runtime writes is not the driver's to say, and nothing of the administrator's
/// login is either.
pub async fn the_binding_says_what_is_the_engines_own<H: Harness>(kit: &Kit<H>) -> Outcome {
    let case = kit.case("a");
    let binding = binding(&case);
    for of_the_runtime in
        ["type", "provider", "host", "port", "username", "password", "ca.crt", "certificates"]
    {
        let is_among = binding.contains_key(of_the_runtime);
        ensure(!is_among, || format!("the binding has {of_the_runtime:?}"))?;
    }
    let password = case.server.admin.password.expose();
    let key = binding.iter().find(|(_, value)| !password.is_empty() && value.contains(password));
    ensure(key.is_none(), || format!("{:?} has the administrator's password in it", key.map(|(key, _)| key)))
}

/// "It MUST answer the same for the same arguments", whatever was done in between.
pub async fn the_binding_is_the_same_each_time<H: Harness>(kit: &Kit<H>) -> Outcome {
    let case = kit.case("a");
    let before = binding(&case);
    case.present().await?;
    same("the binding", &binding(&case), &before)
}
