"""`gateway user`: the hash of a password, for api.users in the configuration."""

import argparse
import getpass
import sys

from api.identity.passwords import hashed

HELP = "make the hash of a password, for api.users in the configuration"
EXAMPLES = """  gateway user hash                                  # asks for the password twice
  pwgen -s 24 1 | tee /dev/tty | gateway user hash   # or takes a line of its standard input"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("hash",), help="print the hash of a password (argon2id)")


def run(args: argparse.Namespace) -> int:
    try:
        print(hashed(_password()))
    except ValueError as error:
        print(f"gateway user: {error}", file=sys.stderr)
        return 1
    return 0


def _password() -> str:
    """The password from the terminal or a line of standard input. Raises ValueError if it is not the same twice."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass()
    if getpass.getpass("again: ") != password:
        raise ValueError("these are two passwords: try again")
    return password
