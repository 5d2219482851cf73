"""An indipyserver with one external driver: ``python indipyserver_program.py PORT CLIENTS DRIVER``."""

import asyncio
import sys

from indipyserver import IPyServer

port, clients, driver = sys.argv[1:]
server = IPyServer(host="127.0.0.1", port=int(port), maxconnections=int(clients))
server.add_exdriver(driver)
asyncio.run(server.asyncrun())
