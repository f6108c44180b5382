"""`sluicegate mcp`: the queue's tools for any MCP client, over stdio or streamable HTTP (package `mcp`).

It keeps nothing and decides nothing: it lists the tools of a deployment and hands calls on to it over HTTP,
with the caller's token, never to the store. Importing it brings the `mcp` package with it: do so on use.

upstream   the deployment: its list of tools, and a call of one
server     what an MCP client sees: results, and problems as tool errors
stdio      served over stdin and stdout
http       served over streamable HTTP
"""
