//! `cloudtik apply`.

use super::{
    context::Context,
    error::Error,
    flow,
    plan::{Selection, Upgrade},
    simulate::{self, Wish},
    start::{Creation, create},
    undo::{self, To},
};
use crate::exit::Exit;
use clap::Args;
use cloudtik_core::{
    Diagnostic,
    plan::{FORMAT, Plan},
};
use cloudtik_engine::ApplyError;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct Apply {
    /// A saved plan, or documents and folders of documents
    #[arg(required = true, value_name = "PLAN|DOCS")]
    what: Vec<PathBuf>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Rehearse it in a simulated world: nothing real is touched, no state is changed
    #[arg(long, conflicts_with = "revision")]
    simulate: bool,
    /// The simulated world's number: the same one goes the same way
    #[arg(long, value_name = "N", default_value_t = 1, requires = "simulate")]
    seed: u64,
    /// In the simulated world, let everything go wrong that may: refusals, lost answers, shortages, kills
    #[arg(long, requires = "simulate")]
    chaos: bool,
    #[command(flatten)]
    to: To,
    #[command(flatten)]
    upgrade: Upgrade,
    #[command(flatten)]
    selection: Selection,
}

impl Apply {
    pub async fn run(self, context: &Context) -> Result<Exit, Error> {
        if let [only] = self.what.as_slice()
            && let Some(plan) = saved(only)?
        {
            if self.simulate {
                return Err(simulate::not_with_a_plan(only));
            }
            if self.to.revision.is_some() {
                return Err(undo::not_with_a_plan(only));
            }
            let world = context.world(None)?;
            return flow::change_by(context, &world, &plan, self.yes).await;
        }
        let Apply { what, yes, simulate, seed, chaos, to, upgrade, selection } = self;
        if simulate {
            let wish = Wish { seed, chaos, selection: &selection, platform: upgrade.platform() };
            return simulate::rehearse(context, &what, &wish);
        }
        let command = format!("apply{}", to.arguments());
        let creation = Creation { selection: &selection, upgrade, to, adopt: false, command: &command, yes };
        create(context, &what, Vec::new(), &creation).await
    }
}

/// Reads a saved plan; `None` for a file that is not JSON, and so a document.
pub fn saved(path: &Path) -> Result<Option<Plan>, Error> {
    let Ok(bytes) = std::fs::read(path) else { return Ok(None) };
    if bytes.iter().find(|b| !b.is_ascii_whitespace()) != Some(&b'{') {
        return Ok(None);
    }
    let refuse = |detail: String, hint: &str| {
        Error::request(
            Diagnostic::error("not-a-plan", "the file is not a plan that can be applied")
                .detail(format!("`{}`: {detail}", path.display()))
                .hint(hint),
        )
    };
    let json: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|e| refuse(e.to_string(), "make it anew: `cloudtik plan -o FILE`"))?;
    match json.get("format").and_then(serde_json::Value::as_u64) {
        Some(format) if format > u64::from(FORMAT) => Err(refuse(
            format!("it has format {format}, this binary knows {FORMAT}"),
            "apply it with the version of cloudtik that made it",
        )),
        Some(_) => {
            let plan: Plan = serde_json::from_value(json)
                .map_err(|e| refuse(e.to_string(), "make it anew: `cloudtik plan -o FILE`"))?;
            // Nobody should be shown, or asked to agree to, what is not the plan that was made.
            if plan.digest != plan.compute_digest() {
                return Err(ApplyError::Tampered.into());
            }
            Ok(Some(plan))
        }
        None => Err(refuse("it has no `format`".into(), "save plans with `cloudtik plan -o FILE`, not with --json")),
    }
}
