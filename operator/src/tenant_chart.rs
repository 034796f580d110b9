//! The command that gives this operator one more namespace. Pure.

/// Name and namespace of an operator that chart db-operator-tenant finds without being told.
const DEFAULT: &str = "db-operator";

/// How chart db-operator-tenant is installed for this operator.
#[derive(Clone, Debug, Default)]
pub struct TenantChart {
    /// What of its values has to be set, as options.
    options: String,
}

impl TenantChart {
    /// For an operator whose service account is `name` in `namespace`.
    pub fn of_operator(name: &str, namespace: &str) -> Self {
        if name == DEFAULT && namespace == DEFAULT {
            return Self::default();
        }
        Self { options: format!(" --set operator.name={name},operator.namespace={namespace}") }
    }

    /// The command that an admin of `namespace` gives.
    pub fn command(&self, namespace: &str) -> String {
        let options = &self.options;
        format!("helm upgrade --install db-operator-tenant charts/db-operator-tenant -n {namespace}{options}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_says_which_operator_where_the_charts_default_is_another() {
        let plain = "helm upgrade --install db-operator-tenant charts/db-operator-tenant -n shop";
        assert_eq!(TenantChart::of_operator("db-operator", "db-operator").command("shop"), plain);
        for (name, namespace) in [("x-db-operator", "db-operator"), ("db-operator", "platform")] {
            assert_eq!(
                TenantChart::of_operator(name, namespace).command("shop"),
                format!("{plain} --set operator.name={name},operator.namespace={namespace}")
            );
        }
    }
}
