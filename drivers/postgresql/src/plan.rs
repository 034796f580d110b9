//! What differs from what is desired, and the statements that put it right. Pure: `observe` shows the
//! differences and `ensure_present` runs the statements of one and the same list.

use crate::catalog::inside::InsideState;
use crate::catalog::{DatabaseState, RoleState, ServerState};
use crate::layout::Layout;
use crate::parameters::{Extension, Parameters};
use crate::session::Administrator;
use crate::sql::{self, Attribute, Ident, MayLogIn, Sql, Verifier};

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// What differs, for a person.
    pub(crate) text: String,
    /// What puts it right. Nothing does if the choice is made for good at creation.
    pub(crate) repair: Vec<Sql>,
}

impl Change {
    fn new(text: impl Into<String>, repair: Vec<Sql>) -> Self {
        Self { text: text.into(), repair }
    }
}

/// The roles that are missing or differ. A login that is missing is created with `verifier`.
pub(crate) fn roles(
    state: &ServerState,
    layout: &Layout,
    administrator: &Administrator,
    verifier: Option<&Verifier>,
) -> Vec<Change> {
    let mut changes = Vec::new();
    for name in layout.roles() {
        if let Some(role) = state.our_role(name, layout) {
            changes.extend(role_changes(role, state, layout, administrator));
        } else if state.role(name).is_none() {
            let ident = Ident::new(name);
            let may_log_in = if name == layout.active { MayLogIn::With(verifier) } else { MayLogIn::No };
            // In one transaction with its mark, so that a crash leaves no role without.
            let mut repair =
                vec![sql::create_role(&ident, may_log_in), sql::comment_on_role(&ident, &layout.mark)];
            let created = RoleState {
                name: name.to_owned(),
                may_log_in: name == layout.active,
                inherit: true,
                connection_limit: -1,
                administrator_in: administrator.superuser,
                ..RoleState::default()
            };
            let rest = role_changes(&created, state, layout, administrator);
            repair.extend(rest.into_iter().flat_map(|change| change.repair));
            changes.push(Change::new(format!("role {name} is missing"), repair));
        }
    }
    changes
}

fn role_changes(
    role: &RoleState,
    state: &ServerState,
    layout: &Layout,
    administrator: &Administrator,
) -> Vec<Change> {
    let RoleState {
        name,
        comment: _,
        may_log_in,
        superuser,
        createdb,
        createrole,
        replication,
        bypassrls,
        inherit,
        connection_limit,
        expires,
        settings,
        in_group,
        owner_granted_by,
        administrator_in,
    } = role;
    let ident = Ident::new(name);
    let is_login = *name == layout.active || *name == layout.standby;
    let options = administrator.version >= 16;
    let mut changes = Vec::new();
    let is_active = *name == layout.active;
    for (wrong, attribute, text) in [
        (*may_log_in && !is_active, Attribute::NoLogin, "may log in"),
        (!*may_log_in && is_active, Attribute::Login, "may not log in"),
        (*superuser, Attribute::NoSuperuser, "is a superuser"),
        (*createdb, Attribute::NoCreatedb, "may create databases"),
        (*createrole, Attribute::NoCreaterole, "may create roles"),
        (*replication, Attribute::NoReplication, "may replicate"),
        (*bypassrls, Attribute::NoBypassrls, "bypasses row-level security"),
        (is_login && !*inherit, Attribute::Inherit, "does not inherit"),
        (is_login && *connection_limit != -1, Attribute::NoConnectionLimit, "has a connection limit"),
        (is_login && *expires, Attribute::NoExpiry, "has a password that expires"),
    ] {
        if wrong {
            changes
                .push(Change::new(format!("role {name} {text}"), vec![sql::alter_role(&ident, attribute)]));
        }
    }
    if !owner_granted_by.is_empty() && *name != layout.owner {
        let owner = Ident::new(&layout.owner);
        let revoke = |grantor: &String| {
            let grantor = Ident::new(grantor);
            // Earlier versions know one grant only, whoever made it.
            sql::revoke_role(&owner, &ident, options.then_some(&grantor))
        };
        changes.push(Change::new(
            format!("role {name} is a member of {}", layout.owner),
            owner_granted_by.iter().map(revoke).collect(),
        ));
    }
    if is_login {
        let group = Ident::new(&layout.group);
        if !*in_group || state.role(&layout.group).is_none() {
            changes.push(Change::new(
                format!("role {name} is no member of {}", layout.group),
                vec![sql::grant_role(&group, &ident, options)],
            ));
        }
        if !settings.contains(&format!("role={}", layout.group)) {
            changes.push(Change::new(
                format!("role {name} does not act as {}", layout.group),
                vec![sql::act_as(&ident, &layout.group)],
            ));
        }
    } else if !*administrator_in {
        changes.push(Change::new(
            format!("{} is no member of {name}", administrator.name),
            vec![sql::grant_role_to_administrator(&ident, options)],
        ));
    }
    changes
}

/// What differs of the database, as far as the maintenance database shows it.
pub(crate) fn database(state: &DatabaseState, layout: &Layout, parameters: &Parameters) -> Vec<Change> {
    let DatabaseState {
        owner,
        comment,
        valid: _,
        allows_connections,
        is_template,
        connection_limit,
        encoding: _,
        collate: _,
        ctype: _,
        provider: _,
        locale: _,
        public_may_enter,
        group_privileges,
        overriding_logins,
        sessions: _,
    } = state;
    let ident = Ident::new(&layout.database);
    let mut changes = Vec::new();
    let mut change = |wrong: bool, text: String, repair: Sql| {
        changes.extend(wrong.then(|| Change::new(text, vec![repair])));
    };
    change(
        *owner != layout.owner,
        format!("the database belongs to {owner}"),
        sql::own_database(&ident, &Ident::new(&layout.owner)),
    );
    change(
        comment.as_ref() != Some(&layout.mark),
        "the database's mark is missing".to_owned(),
        sql::comment_on_database(&ident, &layout.mark),
    );
    change(
        *public_may_enter,
        "PUBLIC has rights on the database".to_owned(),
        sql::revoke_database_from_public(&ident),
    );
    let privileges = ["CONNECT", "TEMPORARY", "CREATE"];
    change(
        !privileges.iter().all(|privilege| group_privileges.iter().any(|held| held == privilege)),
        format!("{} lacks rights on the database", layout.group),
        sql::grant_database(&ident, &Ident::new(&layout.group)),
    );
    change(*is_template, "the database is a template".to_owned(), sql::no_template(&ident));
    let wanted = parameters.connection_limit.unwrap_or(-1);
    change(
        *connection_limit != wanted,
        format!("connectionLimit is {connection_limit}, not {wanted}"),
        sql::connection_limit(&ident, wanted),
    );
    for login in overriding_logins {
        change(
            true,
            format!("role {login} has a role of its own in the database"),
            sql::act_as_in_database(&Ident::new(login), &ident),
        );
    }
    // Last: nobody enters before everything else is right.
    change(!*allows_connections, "the database takes no sessions".to_owned(), sql::allow_connections(&ident));
    changes
}

/// What differs inside the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Inside<'a> {
    /// Something that a statement puts right.
    Change(Change),
    /// An extension that is missing.
    Missing(&'a Extension),
}

impl Inside<'_> {
    /// What differs, for a person.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Change(change) => change.text.clone(),
            Self::Missing(extension) => format!("extension {} is missing", extension.name),
        }
    }
}

/// What differs inside the database.
pub(crate) fn inside<'a>(
    state: &InsideState,
    layout: &Layout,
    administrator: &Administrator,
    parameters: &'a Parameters,
) -> Vec<Inside<'a>> {
    let group = Ident::new(&layout.group);
    let mut changes = Vec::new();
    let mut change = |text: String, sql: Sql| changes.push(Inside::Change(Change::new(text, vec![sql])));
    if let Some((owner, group_may_use)) = &state.public {
        // Before 15 it belongs to the first superuser, and nobody else can give it away; everybody may
        // create in it, and only our logins can enter.
        let is_out_of_reach = administrator.version < 15 && !administrator.superuser;
        if *owner != layout.group && !(is_out_of_reach && *group_may_use) {
            change(
                format!("schema public belongs to {owner}"),
                sql::own_schema(&Ident::new("public"), &group),
            );
        }
    }
    for schema in parameters.schemas.iter().filter(|schema| *schema != "public") {
        let ident = Ident::new(schema);
        match state.schemas.iter().find(|(name, _)| name == schema) {
            None => change(format!("schema {schema} is missing"), sql::create_schema(&ident, &group)),
            Some((_, owner)) if *owner != layout.group => {
                change(format!("schema {schema} belongs to {owner}"), sql::own_schema(&ident, &group));
            }
            Some(_) => {}
        }
    }
    for extension in &parameters.extensions {
        let Extension { name, schema, version } = extension;
        let ident = Ident::new(name);
        let Some((_, is_version, is_schema)) = state.extensions.iter().find(|(is, ..)| is == name) else {
            changes.push(Inside::Missing(extension));
            continue;
        };
        let mut change = |text: String, sql: Sql| changes.push(Inside::Change(Change::new(text, vec![sql])));
        if let Some(version) = version.as_ref().filter(|version| *version != is_version) {
            let text = format!("extension {name} has version {is_version}, not {version}");
            change(text, sql::update_extension(&ident, version));
        }
        if let Some(schema) = schema.as_ref().filter(|schema| *schema != is_schema) {
            let text = format!("extension {name} is in schema {is_schema}, not {schema}");
            change(text, sql::move_extension(&ident, &Ident::new(schema)));
        }
    }
    changes
}
