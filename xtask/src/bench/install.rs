//! The peers and the load generator, from the distribution's packages.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

/// invoke-rc.d(8) asks it whether a package may start its services; 101 is no.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// The module that gives nginx Brotli.
pub const NGINX_BROTLI: &str = "ngx_http_brotli_filter_module.so";
/// The module with which nginx passes on TCP and UDP.
pub const NGINX_STREAM: &str = "ngx_stream_module.so";
/// Where the distribution keeps nginx's modules.
const NGINX_MODULES: &str = "/usr/lib/nginx/modules";

/// Finds `program`, in the directories of a system administrator and of nginx's modules too.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin", NGINX_MODULES].map(PathBuf::from));
    places.map(|place| place.join(program)).find(|file| file.is_file())
}

/// Installs the packages of those `programs` that are missing, without starting their services.
///
/// # Errors
/// apt-get is missing or fails, most often for want of root.
pub fn missing(programs: &[&str]) -> anyhow::Result<()> {
    let missing: Vec<&str> = programs.iter().filter(|p| find(p).is_none()).map(|p| package(p)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if find("apt-get").is_none() || !rustix::process::geteuid().is_root() {
        bail!("not found: {}; install them, or run as root where apt-get can", missing.join(", "));
    }
    eprintln!("installing {}", missing.join(", "));
    let _policy = NoServices::declare()?;
    apt_get(&["update"])?;
    apt_get(&[&["install", "--yes", "--no-install-recommends"], missing.as_slice()].concat())
}

/// The package that `program` is in.
fn package(program: &str) -> &str {
    match program {
        "h2load" => "nghttp2-client",
        "varnishtest" | "varnishd" => "varnish",
        NGINX_BROTLI => "libnginx-mod-http-brotli-filter",
        NGINX_STREAM => "libnginx-mod-stream",
        same => same,
    }
}

fn apt_get(arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new("apt-get");
    let output = command.arg("-qq").args(arguments).env("DEBIAN_FRONTEND", "noninteractive").output();
    let output = output.context("cannot start apt-get")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "apt-get {} failed:\n{errors}", arguments.join(" "));
    Ok(())
}

/// While it lives, packages that are installed start nothing.
struct NoServices {
    ours: bool,
}

impl NoServices {
    fn declare() -> anyhow::Result<Self> {
        if Path::new(POLICY).exists() {
            return Ok(Self { ours: false });
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o755).open(POLICY)?;
        file.write_all(b"#!/bin/sh\nexit 101\n")?;
        Ok(Self { ours: true })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours {
            let _ = fs::remove_file(POLICY);
        }
    }
}
