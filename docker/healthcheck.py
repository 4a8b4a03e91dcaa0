"""Exit 0 if the gateway is ready; say why and exit 1 if it is not. For HEALTHCHECK; needs nothing but Python.

python healthcheck.py [URL]        default http://127.0.0.1:8080/readyz
"""

import sys
import urllib.error
import urllib.request

_TIMEOUT_S = 4.0


def trouble(url: str) -> str:
    """Return why the gateway is not ready, nothing if it is. A proxy of the environment is not asked."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=_TIMEOUT_S):
            return ""
    except urllib.error.HTTPError as answer:  # the body of a 503 names the part that fails
        return answer.read().decode("utf-8", "replace")
    except OSError as error:
        return str(error)


if __name__ == "__main__":
    sys.exit(trouble(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080/readyz") or 0)
