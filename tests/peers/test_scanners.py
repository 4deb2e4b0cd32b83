"""Scanners that rate the TLS of a server: sslyze by Mozilla's profiles, testssl.sh by known weaknesses."""

import json

import pytest
from sslyze import Scanner, ServerNetworkLocation, ServerScanRequest, ServerScanStatusEnum
from sslyze.mozilla_tls_profile.tls_config_checker import (
    SCAN_COMMANDS_NEEDED_BY_MOZILLA_CHECKER,
    MozillaTlsConfiguration,
    ServerNotCompliantWithTlsConfiguration,
    TlsConfigurationEnum,
    check_server_against_tls_configuration,
)

from support.command import run
from support.evenkeel import listener

OWN = (
    '[[route]]\npath = "/*"\nrespond = { body = "own" }\n'
    'response_headers = { set = { strict-transport-security = "max-age=63072000" } }\n'
)
# What testssl.sh says of a certificate that a test has made, and of what is the operator's to say.
NOT_OURS = ("cert", "DNS_CAArecord", "OCSP", "intermediate_cert", "engine_problem", "security_headers")
# Mozilla's profiles leave the order to the client, who knows its own hardware: all suites are good ones. testssl.sh
# 3.0 rates that as bad whatever the suites are, 3.2 no longer does.
BY_PROFILE = ("cipher_order",)
BAD = ("LOW", "MEDIUM", "HIGH", "CRITICAL")


def start(evenkeel, authority, profile="intermediate"):
    table = authority.localhost.table(ocsp=authority.staple(authority.localhost))
    return evenkeel(listener(tls=f'certificates = [{table}], profile = "{profile}"', pool=None) + OWN).port()


@pytest.mark.scanner
@pytest.mark.parametrize("profile", ["intermediate", "modern"])
def test_sslyze_finds_it_compliant(evenkeel, authority, profile):
    port = start(evenkeel, authority, profile)
    scanner = Scanner()
    location = ServerNetworkLocation("localhost", port, "127.0.0.1")
    scanner.queue_scans([ServerScanRequest(location, scan_commands=SCAN_COMMANDS_NEEDED_BY_MOZILLA_CHECKER)])
    result = next(iter(scanner.get_results()))
    assert result.scan_status is ServerScanStatusEnum.COMPLETED, result
    try:
        check_server_against_tls_configuration(result, MozillaTlsConfiguration.get(TlsConfigurationEnum(profile)))
        issues = {}
    except ServerNotCompliantWithTlsConfiguration as error:
        issues = error.issues
    # Both because a test's own authority has signed it, for a thousand years.
    for of_certificate in ("certificate_path_validation", "maximum_certificate_lifespan"):
        issues.pop(of_certificate, None)
    assert not issues


@pytest.mark.scanner
def test_testssl_finds_nothing_bad(evenkeel, authority, tmp_path):
    port = start(evenkeel, authority)
    report = tmp_path / "report.json"
    said = run(
        "testssl", "--quiet", "--color", "0", "--warnings", "off", "--ip", "127.0.0.1",
        "--jsonfile", report, f"localhost:{port}", seconds=200, ok=False,
    )
    assert report.exists(), said
    findings = json.loads(report.read_text())
    told = {finding["id"] for finding in findings}
    for vulnerability in ("heartbleed", "CCS", "ticketbleed", "ROBOT", "CRIME_TLS", "POODLE_SSL", "SWEET32", "FREAK",
                          "DROWN", "LOGJAM", "BEAST", "LUCKY13", "RC4", "fallback_SCSV"):
        assert vulnerability in told, f"testssl.sh did not look for {vulnerability}"
    bad = [
        f'{finding["id"]}: {finding["severity"]}: {finding["finding"]}'
        for finding in findings
        if finding["severity"] in BAD and not finding["id"].startswith(NOT_OURS + BY_PROFILE)
    ]
    assert not bad
