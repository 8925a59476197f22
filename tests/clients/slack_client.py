"""Holds the simulated Slack against a client that others wrote: the PyPI package slack_sdk.

    python tests/clients/slack_client.py <the built example simulate_slack>

One line a check; exits non-zero when one fails, or when the client is missing.
"""

import json
import subprocess
import sys

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.models.metadata import Metadata

failures = 0


def check(what, holds, seen=None):
    global failures
    failures += not holds
    print(f"{'ok  ' if holds else 'FAIL'} {what}" + ("" if holds else f": {seen!r}"), flush=True)


def refused(error, ask):
    try:
        ask()
    except SlackApiError as said:
        return said.response["error"] == error
    return False


def metadata(kind):
    return Metadata(event_type="se_responder", event_payload={"alert": "Q1", "kind": kind})


def section(text):
    return [{"type": "section", "text": {"type": "mrkdwn", "text": text}}]


def checks(at):
    slack = WebClient(token=at["token"], base_url=at["url"] + "/")
    channel = at["channel"]
    check("it tells whose the token is", slack.auth_test()["team"] == "Argonauts")

    root = slack.chat_postMessage(channel=channel, text="a root", blocks=section("a root"), metadata=metadata("root"))
    reply = slack.chat_postMessage(channel=channel, text="a reply", thread_ts=root["ts"], metadata=metadata("note:r1"))
    edited = slack.chat_update(channel=channel, ts=root["ts"], text="edited", metadata=metadata("root"))
    check("a message is posted, replied to and edited", edited["text"] == "edited", edited.data)

    listed = slack.conversations_history(channel=channel, include_all_metadata=True)["messages"]
    check("the channel shows roots only", [m["ts"] for m in listed] == [root["ts"]], listed)
    check("with their metadata", listed[0]["metadata"]["event_payload"] == {"alert": "Q1", "kind": "root"}, listed)
    bare = slack.conversations_history(channel=channel)["messages"]
    check("metadata is shown to who asks for it", "metadata" not in bare[0], bare)
    thread = slack.conversations_replies(channel=channel, ts=root["ts"], include_all_metadata=True)["messages"]
    check("a thread begins with its root", [m["ts"] for m in thread] == [root["ts"], reply["ts"]], thread)

    for n in range(5):
        slack.chat_postMessage(channel=channel, text=f"message {n}")
    pages = [[m["text"] for m in page["messages"]] for page in slack.conversations_history(channel=channel, limit=2)]
    wanted = [["message 4", "message 3"], ["message 2", "message 1"], ["message 0", "edited"]]
    check("lists go by cursor, newest first", pages == wanted, pages)

    wrong = WebClient(token="xoxb-wrong", base_url=at["url"] + "/")
    check("a wrong token is refused", refused("invalid_auth", wrong.auth_test))
    check("another channel is not found",
          refused("channel_not_found", lambda: slack.conversations_history(channel="C0NOWHERE")))
    check("a block over 3,000 characters is refused",
          refused("invalid_blocks", lambda: slack.chat_postMessage(channel=channel, text="x", blocks=section("x" * 3001))))
    check("a message that is none can't be edited",
          refused("message_not_found", lambda: slack.chat_update(channel=channel, ts="1.000001", text="x")))


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
