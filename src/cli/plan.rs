//! `cloudtik plan`.

use super::{
    context::Context,
    error::Error,
    flow::{self, Request},
    load::Program,
    undo::To,
};
use crate::{exit::Exit, registry::PlatformOptions, view};
use clap::Args;
use cloudtik_core::plan::Mode;
use cloudtik_engine::{Options, RefreshPolicy};
use std::{collections::BTreeSet, path::PathBuf};

/// What a plan is made for; shared by every verb that plans.
#[derive(Args, Clone, Debug, Default)]
pub struct Selection {
    /// Change only these resources and what they need (an address, a node, a group, a kind); may be repeated
    #[arg(long, value_name = "ADDRESS")]
    pub target: Vec<String>,
    /// Leave these resources alone, and what needs them; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    pub exclude: Vec<String>,
    /// Replace these resources even if nothing changed, protected ones too; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    pub replace: Vec<String>,
    /// Look at the world first, or believe the record
    #[arg(long, value_name = "WHAT", default_value = "all", value_parser = ["all", "none"])]
    pub refresh: String,
    #[command(flatten)]
    pub delete: DeleteData,
}

/// What holds the user's data and goes all the same.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct DeleteData {
    /// Also delete managed buckets that are to go, with everything in them
    #[arg(long)]
    pub delete_managed_storage: bool,
    /// Also delete managed databases that are to go, with everything in them
    #[arg(long)]
    pub delete_managed_database: bool,
}

impl DeleteData {
    pub const ALL: DeleteData = DeleteData { delete_managed_storage: true, delete_managed_database: true };

    fn kinds(self) -> BTreeSet<String> {
        let kinds = [(self.delete_managed_storage, "bucket"), (self.delete_managed_database, "database")];
        kinds.into_iter().filter(|(asked, _)| *asked).map(|(_, kind)| kind.into()).collect()
    }

    fn arguments(self) -> String {
        let storage = if self.delete_managed_storage { " --delete-managed-storage" } else { "" };
        let database = if self.delete_managed_database { " --delete-managed-database" } else { "" };
        format!("{storage}{database}")
    }
}

/// What pinned things are allowed to do; shared by every verb that plans for documents.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Upgrade {
    /// Let pinned machine images follow the newest one
    #[arg(long)]
    pub upgrade_image: bool,
}

impl Upgrade {
    pub fn platform(self) -> PlatformOptions {
        PlatformOptions { upgrade_image: self.upgrade_image }
    }

    fn arguments(self) -> &'static str {
        if self.upgrade_image { " --upgrade-image" } else { "" }
    }
}

impl Selection {
    pub fn options(&self) -> Options {
        Options {
            targets: self.target.clone(),
            excludes: self.exclude.clone(),
            replace: self.replace.clone(),
            delete_data: self.delete.kinds(),
            ..Options::default()
        }
    }

    /// The same selection as a command line has it, with a space before.
    fn arguments(&self) -> String {
        let each = |name: &'static str, values: &[String]| -> String {
            values.iter().map(|value| format!(" --{name} '{value}'")).collect()
        };
        let refresh = if self.refresh == "none" { " --refresh none" } else { "" };
        let Selection { target, exclude, replace, .. } = self;
        let chosen = each("target", target) + &each("exclude", exclude) + &each("replace", replace);
        chosen + refresh + &self.delete.arguments()
    }

    pub fn policy(&self) -> RefreshPolicy {
        if self.refresh == "none" { RefreshPolicy::None } else { RefreshPolicy::All }
    }
}

#[derive(Args)]
pub struct Plan {
    /// Documents, or folders of documents
    #[arg(required = true, value_name = "DOCS")]
    documents: Vec<PathBuf>,
    /// Save the plan, to be applied as it is
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print the plan as a comment for a review
    #[arg(long)]
    markdown: bool,
    /// Exit with 2 when there are changes
    #[arg(long)]
    detailed_exitcode: bool,
    /// Plan the removal of everything that the documents own
    #[arg(long, conflicts_with = "revision")]
    destroy: bool,
    /// Plan to take over what exists under a declared name and was not made from this state, as `adopt` does
    #[arg(long, conflicts_with = "destroy")]
    adopt: bool,
    #[command(flatten)]
    to: To,
    #[command(flatten)]
    upgrade: Upgrade,
    #[command(flatten)]
    selection: Selection,
}

impl Plan {
    pub async fn run(self, context: &Context) -> Result<Exit, Error> {
        let (mut program, world) = Program::load_on(context, &self.documents, Vec::new(), self.upgrade.platform())?;
        let then = self.to.take_back(&mut program, &world)?;
        let planned = flow::plan(
            context,
            &world,
            &Request {
                mode: if self.destroy { Mode::Destroy } else { Mode::Normal },
                options: Options { adopt: self.adopt, ..self.selection.options() },
                refresh: self.selection.policy(),
                back_to: then.as_ref(),
                ..Request::of(&program, "plan")
            },
        )
        .await?;
        self.show(context, &planned.plan, &program)?;
        let changes = self.detailed_exitcode && !planned.plan.is_empty();
        Ok(if changes { Exit::Changes } else { Exit::Ok })
    }

    fn show(&self, context: &Context, plan: &cloudtik_core::plan::Plan, program: &Program) -> Result<(), Error> {
        let out = &context.out;
        if let Some(file) = &self.out {
            let text = serde_json::to_string(plan).map_err(std::io::Error::other);
            text.and_then(|text| std::fs::write(file, text))
                .map_err(Error::io(format!("save the plan to `{}`", file.display())))?;
        }
        let text = if out.is_json() {
            view::plan::json(plan)
        } else if self.markdown {
            let scopes: Vec<String> = program.scopes.iter().map(ToString::to_string).collect();
            view::plan::markdown(plan, &scopes.join("+"), view::plan::MARKDOWN_LIMIT, &out.look())
        } else {
            let verbose = context.global.verbose;
            let next = self.next(plan);
            view::plan::human(
                plan,
                &program.sources,
                &out.look(),
                &view::plan::Options { verbose, full: verbose, next },
            )
        };
        out.result(&text).map_err(Error::io("write to standard output"))
    }

    fn next(&self, plan: &cloudtik_core::plan::Plan) -> Vec<(String, String)> {
        if plan.is_empty() {
            return Vec::new();
        }
        let (verb, what) = match (self.destroy, self.adopt) {
            (true, _) => ("destroy", "to remove it"),
            (_, true) => ("adopt", "to make it so"),
            _ => ("apply", "to make it so"),
        };
        let command = match &self.out {
            Some(file) => format!("cloudtik apply {}", file.display()),
            None => {
                let names: Vec<String> = self.documents.iter().map(|d| d.display().to_string()).collect();
                let how = self.to.arguments() + &self.selection.arguments() + self.upgrade.arguments();
                format!("cloudtik {verb} {}{how}", names.join(" "))
            }
        };
        vec![(command, what.into())]
    }
}
