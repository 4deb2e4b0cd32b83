//! No text breaks the reader of configurations, and what it accepts it also accepts as it shows it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(faults) = evenkeel_config::parse_servers("servers.toml", text) {
        assert!(!faults.to_string().is_empty());
    }
    let parsed = match evenkeel_config::parse("fuzz.toml", text) {
        Ok(parsed) => parsed,
        Err(faults) => {
            assert!(!faults.to_string().is_empty());
            return;
        }
    };
    let _ = parsed.warnings.to_string();
    let shown = parsed.config.to_toml();
    match evenkeel_config::parse("shown.toml", &shown) {
        Ok(again) => assert_eq!(again.config.to_toml(), shown, "shown twice, it differs"),
        Err(faults) => panic!("what is shown is refused:\n{shown}\n{faults}"),
    }
});
