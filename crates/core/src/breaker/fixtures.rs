//! A pool as tests of its limits need it.

use evenkeel_config::Pool;

/// A pool with these keys.
pub fn pool(keys: &str) -> Pool {
    let text = format!(
        "[listener.web]\nbind = 80\npool = \"app\"\n[pool.app]\n\
         backends = [{{ address = 5001, max_connections = 2 }}, {{ address = 5002, max_connections = 2 }}]\n{keys}\n"
    );
    let parsed = evenkeel_config::parse("test.toml", &text);
    parsed.map(|parsed| parsed.config.pools[0].clone()).expect("the test's configuration is right")
}
