"""`perf/compare tls`: full handshakes, and bulk replies, through each proxy in turn."""

from . import load, machine, programs, rounds
from .options import add_connections
from .peers import Job

BULK_REPLY = 1 << 20


def add_options(parser):
    add_connections(parser, "--handshakes", [16], "for handshakes")
    add_connections(parser, "--bulk", [4], "for bulk")


def compare(options):
    programs.build(programs.SERVICE, programs.LOAD)
    openssl = machine.first_line(["openssl", "version"]).partition(" (")[0]
    certificate = programs.Certificate()
    yield rounds.run("tls-handshakes", "handshakes", options, Job(certificate=certificate), options.handshakes,
                     load.own("tls"), openssl=openssl)
    yield rounds.run("tls-bulk", "bulk", options, Job(BULK_REPLY, certificate), options.bulk,
                     load.own("tls", "--keep"), openssl=openssl)
