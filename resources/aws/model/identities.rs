//! Who the machines of a workspace are: a role and a profile each for heads and workers.

use super::resource;
use crate::{
    names::{Names, tags},
    policies,
};
use cloudtik_core::{Declaration, Origin, Value};

pub(crate) fn declare(names: &Names, region: &str, origin: &Origin) -> Vec<Declaration> {
    let of = |what: &str| {
        let text = policies::storage(&names.workspace, region);
        let role = [
            ("name", Value::text(names.named(&format!("{what}-role")))),
            ("description", Value::text(format!("{what} machines of a cloudtik workspace"))),
            ("trust", policies::trust(region).into()),
            ("policies", Value::map([(policies::STORAGE, text)])),
            ("tags", tags(&names.scope, [])),
        ];
        let profile = [
            ("name", Value::text(names.named(&format!("{what}-profile")))),
            // The output and not the name, which a role that was made anew has too: the profile then takes the new one.
            ("role", Value::reference(&names.role(what), "id")),
            ("tags", tags(&names.scope, [])),
        ];
        [resource(names.role(what), region, origin, role), resource(names.profile(what), region, origin, profile)]
    };
    ["head", "worker"].into_iter().flat_map(of).collect()
}
