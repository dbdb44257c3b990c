"""The local stack: VPC Lattice's front, Lambda's Invoke API, and execution environments, on one machine.

curl ──HTTP──▶ front ──event──▶ service ──▶ environments ──Runtime API──▶ one process per (function, tenant, slot)
                                   ▲
boto3, aws, the bridge ──Invoke──▶ lambda_api

template, plan      template.yaml -> what there is to serve
identities, sigv4   who signed the HTTP request
authorization       whether the auth policies allow it
routing, front      listener rules; HTTP <-> Lattice events (wire)
lambda_api, service the Invoke protocol; what Lambda checks, synchronous and queued
environments        which environment runs an invocation: reuse, quota, reaping
environment         one process, with runtime_api and output; peer says whose connection it is
stack               starts and stops all of it; console prints; reload watches the code
"""
