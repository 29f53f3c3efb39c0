//! Whole commands as a user sees them.
