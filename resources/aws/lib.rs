//! Provider `aws`.
