//! What happens to a request, one file a stage, in order.

pub mod admit;
pub mod answer;
pub mod converse;
pub mod forward;
pub mod held;
pub mod pick;
pub mod record;
pub mod relay;
pub mod shed;
