//! What the API server has refused, and what people are told about it. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Moment;
use crate::error::LaunchError;
use crate::notice::Notice;
use crate::seen::metadata::Uid;
use crate::tenant_chart::TenantChart;
use crate::waiting::Scope;

/// How long an object is left alone whose Job's name somebody else's Job has.
const TAKEN: Duration = Duration::from_secs(30);

/// What was refused last.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// How a namespace that refuses all Jobs is given to this operator.
    tenant_chart: TenantChart,
    /// What all are told that wait for the same.
    of_scope: BTreeMap<Scope, Notice>,
    /// What one is told, and until when it is left alone.
    of_object: BTreeMap<Uid, (Notice, Moment)>,
}

impl Refusals {
    /// None yet.
    pub(super) fn new(tenant_chart: TenantChart) -> Self {
        Self { tenant_chart, ..Self::default() }
    }

    /// Takes why a Job was not launched. Answers whether others are to be told, too.
    pub(super) fn add(&mut self, uid: &Uid, scope: &Scope, error: &LaunchError, now: Moment) -> bool {
        let of_object = |notice, left_alone: Duration| (notice, now.plus(left_alone));
        match error {
            LaunchError::NotServed { namespace } => {
                self.of_all(scope, not_served(namespace, &self.tenant_chart))
            }
            LaunchError::DriverNotAllowed { message } => {
                self.of_all(scope, driver_not_allowed(&scope.driver, message))
            }
            LaunchError::NameTaken { .. } => {
                let notice =
                    Notice::warning("JobNameTaken", format!("{error}: remove it, and ours is launched"));
                self.of_object.insert(Arc::clone(uid), of_object(notice, TAKEN));
                false
            }
            LaunchError::Refused { .. } => {
                let notice = Notice::warning("JobRefused", format!("{error}; it is tried again"));
                self.of_object.insert(Arc::clone(uid), of_object(notice, Duration::ZERO));
                false
            }
            // What only takes time is not worth an Event.
            LaunchError::NamespaceTerminating { .. }
            | LaunchError::Create { .. }
            | LaunchError::Timeout { .. } => false,
        }
    }

    /// What stands about an object that waits for a launch.
    pub(super) fn notice(&self, uid: &str, scope: &Scope) -> Option<&Notice> {
        self.of_object.get(uid).map(|(notice, _)| notice).or_else(|| self.of_scope.get(scope))
    }

    /// Until when an object is left alone.
    pub(super) fn left_alone(&self, uid: &str, now: Moment) -> Option<Moment> {
        self.of_object.get(uid).map(|(_, until)| *until).filter(|until| *until > now)
    }

    /// A Job was taken. Answers whether others are to be told.
    pub(super) fn accepted(&mut self, uid: &str, scope: &Scope) -> bool {
        self.of_object.remove(uid);
        self.of_scope.remove(scope).is_some()
    }

    /// Forgets an object.
    pub(super) fn forget(&mut self, uid: &str) {
        self.of_object.remove(uid);
    }

    /// Nobody waits for that any more. Who is left alone for a while does not, and is told all the same.
    pub(super) fn nobody_waits_for(&mut self, scope: &Scope) {
        self.of_scope.remove(scope);
    }

    fn of_all(&mut self, scope: &Scope, notice: Notice) -> bool {
        let is_news = self.of_scope.get(scope) != Some(&notice);
        self.of_scope.insert(scope.clone(), notice);
        is_news
    }
}

fn not_served(namespace: &str, tenant_chart: &TenantChart) -> Notice {
    Notice::warning(
        "NamespaceNotServed",
        format!(
            "db-operator may not create Jobs in namespace {namespace}, and nothing is lost meanwhile: an admin of the namespace allows it with `{}`, or a platform team by adding {namespace} to the value tenantNamespaces of chart db-operator",
            tenant_chart.command(namespace)
        ),
    )
}

fn driver_not_allowed(driver: &str, message: &str) -> Notice {
    Notice::warning(
        "DriverNotAllowed",
        format!(
            "Driver {driver} asks for what the platform team does not allow: {message}. A platform team allows it by the value allowedDrivers of chart db-operator"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::voice::LONGEST_NOTE;

    fn scope() -> Scope {
        Scope { namespace: "shop".into(), driver: "engine".into() }
    }

    #[test]
    fn what_a_driver_may_not_do_is_told_to_all_that_wait_for_it_once() {
        let (mut refusals, now) = (Refusals::default(), Moment::default());
        let error = LaunchError::DriverNotAllowed { message: "allowedDrivers: image x:1".into() };
        assert!(refusals.add(&"a".into(), &scope(), &error, now));
        assert!(!refusals.add(&"b".into(), &scope(), &error, now), "it stands already");
        let told = refusals.notice("c", &scope()).unwrap();
        assert!(
            told.warning && told.note.contains("engine") && told.note.contains("allowedDrivers"),
            "{told:?}"
        );
        assert!(refusals.accepted("c", &scope()));
        assert_eq!(refusals.notice("a", &scope()), None);
    }

    #[test]
    fn a_name_that_is_taken_is_one_objects_affair() {
        let (mut refusals, now) = (Refusals::default(), Moment::default());
        let error = LaunchError::NameTaken { name: "dbo-x".into(), namespace: "shop".into() };
        assert!(!refusals.add(&"a".into(), &scope(), &error, now));
        assert_eq!(refusals.notice("b", &scope()), None);
        assert!(refusals.notice("a", &scope()).unwrap().note.contains("dbo-x"));
        let until = refusals.left_alone("a", now).unwrap();
        assert_eq!(refusals.left_alone("a", until), None);
    }

    #[test]
    fn an_api_server_that_is_away_is_not_worth_an_event() {
        let mut refusals = Refusals::default();
        let error = LaunchError::Timeout { name: "dbo-x".into() };
        assert!(!refusals.add(&"a".into(), &scope(), &error, Moment::default()));
        assert_eq!(refusals.notice("a", &scope()), None);
    }

    #[test]
    fn a_namespace_that_is_not_served_is_told_the_command() {
        let chart = TenantChart::of_operator("dbs", "platform");
        let (mut refusals, now) = (Refusals::new(chart), Moment::default());
        let error = LaunchError::NotServed { namespace: "shop".into() };
        assert!(refusals.add(&"a".into(), &scope(), &error, now));
        let note = &refusals.notice("a", &scope()).unwrap().note;
        for expected in [
            "db-operator-tenant -n shop --set operator.name=dbs,operator.namespace=platform`",
            "tenantNamespaces",
        ] {
            assert!(note.contains(expected), "{note}");
        }
    }

    #[test]
    fn the_longest_names_leave_room_for_the_command() {
        let long = "x".repeat(63);
        let notice = not_served(&long, &TenantChart::of_operator(&long, &long));
        assert!(notice.note.len() <= LONGEST_NOTE, "{} bytes", notice.note.len());
    }
}
