//! What docs/platform.md tells Argo CD about the health of a Database, run as Argo CD runs it: Lua 5.1, with the object in
//! `obj`.

use anyhow::{Context as _, Result};
use mlua::{Lua, LuaSerdeExt as _, Table};
use serde_json::{Value, json};

use super::pages::yaml_blocks;

/// The key of Argo CD's ConfigMap.
const KEY: &str = "resource.customizations.health.db.isotoma.com_Database";

/// The Lua in the ConfigMap.
fn customization() -> Result<String> {
    let block = yaml_blocks()?.into_iter().find(|block| block.text.contains(KEY));
    let block = block.context("no page has what Argo CD is to be told")?;
    let map: Value = serde_saphyr::from_str(&block.text)?;
    Ok(map["data"][KEY].as_str().context("no text")?.to_owned())
}

/// What it says of an object: status and message.
fn health(object: &Value) -> Result<(String, String)> {
    let lua = Lua::new();
    lua.globals().set("obj", lua.to_value(object)?)?;
    let said: Table = lua.load(customization()?).eval()?;
    Ok((said.get("status")?, said.get("message")?))
}

/// A Database of generation 2, of which that generation was observed, with these conditions.
fn database(observed: i64, conditions: &[(&str, &str, &str)]) -> Value {
    let conditions: Vec<_> = conditions
        .iter()
        .map(|(kind, status, message)| json!({"type": kind, "status": status, "message": message}))
        .collect();
    json!({"metadata": {"generation": 2}, "status": {"observedGeneration": observed, "conditions": conditions}})
}

#[test]
fn argo_cd_sees_a_database_as_it_is() {
    let new = json!({"metadata": {"generation": 1}, "spec": {}});
    let waiting = "waiting for the first run";
    for (object, status, message) in [
        (new, "Progressing", waiting),
        (database(-1, &[]), "Progressing", waiting),
        (database(2, &[("Ready", "True", "all there")]), "Healthy", "all there"),
        (database(2, &[("Ready", "False", "no route")]), "Progressing", "no route"),
        // In either order.
        (
            database(2, &[("Ready", "False", "no"), ("Stalled", "True", "wrong field")]),
            "Degraded",
            "wrong field",
        ),
        (
            database(2, &[("Stalled", "True", "wrong field"), ("Ready", "False", "no")]),
            "Degraded",
            "wrong field",
        ),
        (database(2, &[("Stalled", "False", ""), ("Ready", "True", "all there")]), "Healthy", "all there"),
        // What is known is about a spec that is changed.
        (database(1, &[("Ready", "True", "all there")]), "Progressing", waiting),
    ] {
        let said = health(&object).unwrap();
        assert_eq!(said, (status.to_owned(), message.to_owned()), "{object}");
    }
}
