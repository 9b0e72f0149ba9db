"""The HTTP door: tickets post requests, readers are told what became of them.

door       a request in, an answer out, always: routes, who may enter, every refusal a problem
routes     every route as data; the router and the OpenAPI document are made from it
webhooks   who posts: Standard Webhooks, verified          readers   who reads: bearer tokens
posting    a request is noted, and then on the queue       status    what is told of one. Pure
notes      what is noted of it                             reading   who may read it
"""
