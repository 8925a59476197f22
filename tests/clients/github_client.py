"""Holds the simulated GitHub Enterprise against a client that others wrote: the PyPI package PyGithub.

    python tests/clients/github_client.py <the built example simulate_github>

One line a check; exits non-zero when one fails, or when the client is missing.
"""

import json
import subprocess
import sys

from github import Auth, Github
from github.GithubException import BadCredentialsException, GithubException, UnknownObjectException

failures = 0


def check(what, holds, seen=None):
    global failures
    failures += not holds
    print(f"{'ok  ' if holds else 'FAIL'} {what}" + ("" if holds else f": {seen!r}"), flush=True)


def refused(error, ask):
    try:
        ask()
    except error:
        return True
    return False


def checks(at):
    github = Github(base_url=at["url"], auth=Auth.Token(at["token"]), per_page=100, retry=None)
    login = github.get_user().login
    check("it tells whose the token is", login == "se-responder-bot", login)
    repo = github.get_repo(at["repo"])
    check("the repository is found", repo.full_name == at["repo"], repo.full_name)
    issue = repo.create_issue(title="RCA", body="text <!-- marker -->", labels=["se-responder"])
    check("an issue is created", issue.number == 1 and issue.html_url.endswith("/issues/1"), issue.html_url)
    check("with its label", [label.name for label in issue.labels] == ["se-responder"], issue.labels)
    listed = list(repo.get_issues(state="all", creator=login, sort="created", direction="desc"))
    check("it is listed among those of its creator", [i.body for i in listed] == ["text <!-- marker -->"], listed)
    others = list(repo.get_issues(state="all", creator="somebody"))
    check("and among nobody else's", others == [], others)

    wrong = Github(base_url=at["url"], auth=Auth.Token("wrong"), retry=None)
    check("a wrong token is refused", refused(BadCredentialsException, lambda: wrong.get_user().login))
    check("another repository is not found", refused(UnknownObjectException, lambda: github.get_repo("some/other")))
    check("an issue needs a title", refused(GithubException, lambda: repo.create_issue(title=" ")))


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    with subprocess.Popen([sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as simulator:
        try:
            checks(json.loads(simulator.stdout.readline()))
        finally:
            simulator.stdin.close()
    check("the simulator ends with its standard input", simulator.returncode == 0, simulator.returncode)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
