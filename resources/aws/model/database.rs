//! Managed databases: the workspace's own, and those of database documents.

use super::resource;
use crate::{
    api::Password,
    kinds::database::{DOCUMENT, MANAGED},
    names::{Names, tags},
    tags::{NAME, WORKSPACE},
};
use cloudtik_core::{Address, Declaration, Diagnostic, Lifecycle, Origin, Scope, Tree, TreeValue, Value};

/// GiB that a database may have.
/// Source: RDS user guide, "Amazon RDS DB instance storage": gp2 and gp3 of MySQL and PostgreSQL (read 2026-11-25).
const STORAGE: std::ops::RangeInclusive<i64> = 20..=65_536;

/// `provider.database.aws.database`, with the Python tool's defaults but for its password.
pub(crate) struct Options {
    engine: String,
    kind: String,
    storage_type: String,
    storage_gib: i64,
    user: String,
    port: i64,
    multi_az: bool,
    pub password: Option<Password>,
}

impl Options {
    pub fn read(provider: &Tree) -> Result<Self, Vec<Diagnostic>> {
        let get = |key: &str| provider.at(&["database", "aws.database", key]);
        let text = |key: &str, default: &str| get(key).and_then(Tree::as_text).unwrap_or(default).to_owned();
        let engine = text("engine", "mysql");
        let size = get("storage_size");
        let storage_gib = size.map_or(Some(50), |tree| int(tree).filter(|gib| STORAGE.contains(gib)));
        let mut problems: Vec<Diagnostic> =
            size.filter(|_| storage_gib.is_none()).map(wrong_size).into_iter().collect();
        problems.extend(get("password").and_then(|tree| check_password(tree, &engine)));
        let Some(storage_gib) = storage_gib.filter(|_| problems.is_empty()) else { return Err(problems) };
        let port = if engine == "postgres" { 5432 } else { 3306 };
        Ok(Options {
            kind: text("instance_type", "db.t3.xlarge"),
            storage_type: text("storage_type", "gp2"),
            storage_gib,
            user: text("username", "cloudtik"),
            port: get("port").and_then(int).unwrap_or(port),
            multi_az: matches!(get("high_availability").map(|t| &t.value), Some(TreeValue::Bool(true))),
            password: get("password").and_then(Tree::as_text).map(|text| Password(text.into())),
            engine,
        })
    }
}

fn int(tree: &Tree) -> Option<i64> {
    match tree.value {
        TreeValue::Int(i) => Some(i),
        TreeValue::Float(f) if f.fract() == 0.0 && f.abs() < 1e9 => Some(f as i64),
        _ => None,
    }
}

fn wrong_size(tree: &Tree) -> Diagnostic {
    let detail = format!("`storage_size` must be a whole number from {} to {} GB", STORAGE.start(), STORAGE.end());
    Diagnostic::error("invalid-value", "not a size of a managed database on AWS").at(&tree.origin).detail(detail)
}

/// Source: RDS API reference, CreateDBInstance, MasterUserPassword (read 2026-11-25).
fn check_password(tree: &Tree, engine: &str) -> Option<Diagnostic> {
    let longest = if engine == "postgres" { 128 } else { 41 };
    let text = tree.as_text()?;
    let fits = (8..=longest).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '/' | '"' | '@'));
    (!fits).then(|| {
        Diagnostic::error("invalid-value", "not a password that a managed database takes")
            .at(&tree.origin)
            .detail(format!("it must have 8 to {longest} printable ASCII characters, without space, `/`, `\"` and `@`"))
            .hint("leave it out: AWS then makes one and keeps it in Secrets Manager")
    })
}

/// Its subnet group and itself. `name`: `cloudtik-<workspace>-db`; `group`: its subnet group's.
pub(crate) fn declare(
    scope: &Scope,
    region: &str,
    (name, group): (&str, &str),
    options: &Options,
    origin: &Origin,
) -> [Declaration; 2] {
    let workspace = scope.workspace_name();
    let names = Names::of(workspace);
    let tags = |name: &str| tags(scope, [(NAME, name), (WORKSPACE, workspace)]);
    let private = ["private-1", "private-2"].map(|subnet| Value::reference(&names.subnet(subnet), "id"));
    let subnets = [
        ("name", Value::text(group)),
        ("description", Value::text("Private subnets of a cloudtik workspace")),
        ("subnets", Value::List(private.to_vec())),
        ("tags", tags(group)),
    ];
    let group = Address::new(scope.clone(), "db-subnet-group", "main");
    let password = if options.password.is_some() { DOCUMENT } else { MANAGED };
    let database = [
        ("name", Value::text(name)),
        ("engine", Value::text(&options.engine)),
        ("type", Value::text(&options.kind)),
        ("storage_type", Value::text(&options.storage_type)),
        ("storage_gib", options.storage_gib.into()),
        ("user", Value::text(&options.user)),
        ("port", options.port.into()),
        ("multi_az", options.multi_az.into()),
        ("subnet_group", Value::reference(&group, "id")),
        ("groups", Value::List(vec![Value::reference(&names.security_group(), "id")])),
        ("password", Value::text(password)),
        ("tags", tags(name)),
    ];
    // Replacing it would lose what is in it.
    let lifecycle = Lifecycle { prevent_destroy: true, ..Lifecycle::default() };
    [resource(group, region, origin, subnets), resource(address(scope), region, origin, database).lifecycle(lifecycle)]
}

pub(crate) fn address(scope: &Scope) -> Address {
    Address::new(scope.clone(), "database", "default")
}
