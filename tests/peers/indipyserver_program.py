"""An indipyserver: ``python indipyserver_program.py PORT [--exec DRIVER] [--remote PORT]``."""

import argparse
import asyncio

from indipyserver import IPyServer

parser = argparse.ArgumentParser()
parser.add_argument("port", type=int)
parser.add_argument("--exec", action="append", default=[])
parser.add_argument("--remote", action="append", type=int, default=[])
options = parser.parse_args()

server = IPyServer(host="127.0.0.1", port=options.port, maxconnections=10)
for driver in options.exec:
    server.add_exdriver(driver)
for port in options.remote:
    server.add_remote("127.0.0.1", port, blob_enable=True)
asyncio.run(server.asyncrun())
