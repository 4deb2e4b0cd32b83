//! The figures of the flight recorder.

use super::page::Page;
use crate::flight::WhyKept;
use crate::names::{self, RecordDropped};
use crate::registry::Registry;

pub(super) fn render(page: &mut Page, registry: &Registry) {
    let recorder = &registry.recorder;
    page.family(&names::RECORDER_KEPT);
    for &why in WhyKept::ALL {
        page.sample(&names::RECORDER_KEPT, &[why.as_str()], recorder.kept_so_far(why));
    }
    page.family(&names::RECORDER_DROPPED);
    for &reason in RecordDropped::ALL {
        page.sample(&names::RECORDER_DROPPED, &[reason.as_str()], recorder.dropped_so_far(reason));
    }
    let (records, bytes) = recorder.size();
    page.single(&names::RECORDER_RECORDS, records as u64);
    page.single(&names::RECORDER_BYTES, bytes);
    page.single(&names::RECORDER_LIMIT, recorder.memory());
}
