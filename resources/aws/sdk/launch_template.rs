//! Launch templates, whose data is read in the form that RunInstances takes.

use super::Sdk;
use crate::api::{ApiError, Item};
use aws_sdk_ec2::types::Filter as Ec2Filter;

impl Sdk {
    pub(super) async fn launch_templates(&self, all: Option<Vec<Ec2Filter>>) -> Result<Vec<Item>, ApiError> {
        drop(all);
        Err(super::malformed("DescribeLaunchTemplates", "launch templates cannot be read yet"))
    }
}
