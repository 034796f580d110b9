//! Sessions that move data, with the tenant's rights only.

use std::fmt;

use driver_api::kit::password;
use driver_api::{Login, Result};
use tokio::task::AbortHandle;

use crate::connect::Connection;
use crate::fault::{Carries, Refusal};
use crate::layout::Layout;
use crate::session::Session;
use crate::settings::moving;
use crate::sql::{self, Attribute, Ident, Verifier, data};

/// A session in the tenant's database that acts as the group role.
///
/// When it is dropped its connection closes at once, and with it ends what the server does for it: an orderly
/// end would first read the rest of a table.
pub(crate) struct DataSession {
    pub(crate) connection: Connection,
    closer: AbortHandle,
}

impl Drop for DataSession {
    fn drop(&mut self) {
        self.closer.abort();
    }
}

impl fmt::Debug for DataSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataSession").finish_non_exhaustive()
    }
}

impl DataSession {
    /// A session of the administrator that reads as the group role. Nothing of the tenant's runs in it: it reads
    /// tables and the catalog.
    pub(crate) async fn reading(session: &Session, layout: &Layout) -> Result<Self> {
        let admin = session.dialer.admin();
        let opened = Self::open(session, layout, admin).await;
        let reading =
            opened.map_err(|refusal| refusal.at(&session.dialer.place(&admin.username, &layout.database)))?;
        let doing = "cannot pin the settings of a session";
        reading.connection.run(&data::refuse_views(), doing, Carries::Ours).await?;
        reading.act_as_group(layout).await
    }

    async fn open(session: &Session, layout: &Layout, login: &Login) -> std::result::Result<Self, Refusal> {
        let options = moving(session.administrator.version);
        let (connection, closer) = session.dialer.open_with(login, &layout.database, &options).await?;
        Ok(Self { connection, closer })
    }

    async fn act_as_group(self, layout: &Layout) -> Result<Self> {
        let group = Ident::new(&layout.group);
        let doing = format!("cannot act as {}", layout.group);
        self.connection.run(&data::act_as_group(&group), &doing, Carries::Ours).await?;
        Ok(self)
    }
}

/// Two sessions that write as the tenant; the second one only if the database's connection limit allows it.
///
/// A load runs the tenant's code: checks, defaults, the expressions of indexes. In a session of the administrator
/// that acts as the group role, such code could `RESET ROLE` and go on as the administrator. So these sessions are
/// of the standby login, which has no more than the tenant's rights and nobody uses: it gets a password that only
/// this run knows, and may not log in any more as soon as they are open. It may connect for that moment even if
/// the tenant is locked out.
pub(crate) async fn writing(
    session: &Session,
    layout: &Layout,
) -> Result<(DataSession, Option<DataSession>)> {
    let Session { connection, dialer, .. } = session;
    let login = Login::new(&layout.standby, password::random()?);
    let (database, standby) = (Ident::new(&layout.database), Ident::new(&layout.standby));
    let doing = format!("cannot lend login {} to the load", layout.standby);
    let lend = [
        sql::set_password(&standby, &Verifier::of(&login.password)),
        sql::alter_role(&standby, Attribute::Login),
        sql::grant_connect(&database, &standby),
    ];
    let take_back = [sql::alter_role(&standby, Attribute::NoLogin), sql::revoke_connect(&database, &standby)];
    connection.run(&sql::Sql::batch(&lend), &doing, Carries::Ours).await?;
    let first = DataSession::open(session, layout, &login).await;
    let second = if first.is_ok() { Some(DataSession::open(session, layout, &login).await) } else { None };
    // What dies before this leaves a login with a password that nobody knows; `observe` shows it.
    connection.run(&sql::Sql::batch(&take_back), &doing, Carries::Ours).await?;
    let place = dialer.place(&login.username, &layout.database);
    let first = first.map_err(|refusal| refusal.at(&place))?.act_as_group(layout).await?;
    let second = match second {
        None => None,
        Some(Err(refusal)) if refusal.code() == Some("53300") => {
            tracing::info!("the connection limit lets one session load only");
            None
        }
        Some(second) => Some(second.map_err(|refusal| refusal.at(&place))?.act_as_group(layout).await?),
    };
    Ok((first, second))
}
