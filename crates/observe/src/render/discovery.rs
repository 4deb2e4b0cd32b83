//! How pools discover their servers.

use super::page::Page;
use crate::names;
use crate::registry::Registry;

pub(super) fn render(page: &mut Page, registry: &Registry) {
    let all = registry.all_discoveries();
    page.family(&names::DISCOVERY_UP);
    all.iter().for_each(|(pool, of)| page.sample(&names::DISCOVERY_UP, &[pool.as_str()], of.up.value()));
    page.family(&names::DISCOVERY_SERVERS);
    for (pool, of) in &all {
        page.sample(&names::DISCOVERY_SERVERS, &[pool.as_str()], of.servers.value());
    }
    page.family(&names::DISCOVERY_FAILURES);
    for (pool, of) in &all {
        page.sample(&names::DISCOVERY_FAILURES, &[pool.as_str()], of.failures.value());
    }
    page.family(&names::DISCOVERY_SUCCEEDED);
    for (pool, of) in &all {
        page.sample(&names::DISCOVERY_SUCCEEDED, &[pool.as_str()], of.succeeded_s());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::Registry;

    #[test]
    fn a_discovery_can_be_watched() {
        let registry = Registry::new(1);
        let figures = registry.discovery(&"api".into());
        figures.asked(true, 3);
        figures.asked(false, 3);
        let page = registry.render();
        for line in [
            "evenkeel_discovery_up{pool=\"api\"} 0",
            "evenkeel_discovery_servers{pool=\"api\"} 3",
            "evenkeel_discovery_failures_total{pool=\"api\"} 1",
        ] {
            assert!(page.lines().any(|seen| seen == line), "{line}\nin\n{page}");
        }
        registry.retain_discoveries(|_| false);
        assert!(!registry.render().contains("pool=\"api\""));
    }
}
