//! Managed databases: the workspace's own, and those of database documents.

use super::resource;
use crate::{
    api::Password,
    config,
    kinds::database::{DOCUMENT, MANAGED},
    names::{Names, tags},
    provider::Aws,
    tags::{NAME, WORKSPACE},
};
use cloudtik_core::{
    Address, Declaration, Diagnostic, Lifecycle, Origin, Scope, Tree, TreeValue, Value, document::Belonging,
};

/// GiB that a database may have.
/// Source: RDS user guide, "Amazon RDS DB instance storage": gp2 and gp3 of MySQL and PostgreSQL (read 2026-11-25).
const STORAGE: std::ops::RangeInclusive<i64> = 20..=65_536;

/// Source: RDS API reference, CreateDBInstance, DBInstanceIdentifier (read 2026-11-25).
const LONGEST_NAME: usize = 63;

/// `provider.database.aws.database`.
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

impl Default for Options {
    /// The Python tool's defaults, but for its password.
    fn default() -> Self {
        Options {
            engine: "mysql".into(),
            kind: "db.t3.xlarge".into(),
            storage_type: "gp2".into(),
            storage_gib: 50,
            user: "cloudtik".into(),
            port: 3306,
            multi_az: false,
            password: None,
        }
    }
}

impl Options {
    pub fn read(provider: &Tree) -> Result<Self, Vec<Diagnostic>> {
        let get = |key: &str| provider.at(&["database", "aws.database", key]);
        let text = |key: &str, default: String| get(key).and_then(Tree::as_text).map_or(default, String::from);
        let defaults = Options::default();
        let engine = text("engine", defaults.engine);
        let size = get("storage_size");
        let storage_gib = size.map_or(Some(defaults.storage_gib), |tree| int(tree).filter(|gib| STORAGE.contains(gib)));
        let mut problems: Vec<Diagnostic> =
            size.filter(|_| storage_gib.is_none()).map(wrong_size).into_iter().collect();
        problems.extend(get("password").and_then(|tree| check_password(tree, &engine)));
        let Some(storage_gib) = storage_gib.filter(|_| problems.is_empty()) else { return Err(problems) };
        let port = if engine == "postgres" { 5432 } else { defaults.port };
        Ok(Options {
            kind: text("instance_type", defaults.kind),
            storage_type: text("storage_type", defaults.storage_type),
            storage_gib,
            user: text("username", defaults.user),
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

/// The database of a database document, in the workspace's network.
pub(crate) fn document(aws: &Aws, database: &Belonging) -> Result<Vec<Declaration>, Vec<Diagnostic>> {
    let region = config::account(&database.provider).region;
    let options = Options::read(&database.provider)?;
    let names = Names::of(&database.workspace);
    // With the document's name last, no workspace's own database can have the name.
    let name = names.named(&format!("db-{}", database.name));
    let group = names.named(&format!("db-subnet-group-{}", database.name));
    if name.len() > LONGEST_NAME || name.contains("--") || name.ends_with('-') {
        let place = database.tree.get("database_name").map_or(&database.origin, |name| &name.origin);
        let problem = Diagnostic::error("database-name", "not a name for a managed database on AWS").at(place);
        let detail = format!("`{name}` must have at most {LONGEST_NAME} characters, no `--` and no hyphen at its end");
        return Err(vec![problem.detail(detail).hint("choose another name")]);
    }
    let scope = Scope::database(&database.workspace, &database.name);
    if let Some(password) = &options.password {
        aws.remember_password(&address(&scope), password.clone());
    }
    Ok(declare(&scope, &region, (&name, &group), &options, &database.origin).into())
}

pub(crate) fn address(scope: &Scope) -> Address {
    Address::new(scope.clone(), "database", "default")
}
