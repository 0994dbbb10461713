# SPDX-License-Identifier: MIT
"""What tools/bench is made of, from the outside inwards:

    cli      options, the parts of a run       figures   keys, aims, arithmetic, the table
    encode   the line encoder                  process   children: CPU, memory, callgrind
    agent    whole agents, kwmote and peers    relay     counts bytes between agent and server
    servers  what the agents deliver to        progress  what it is at, and how far
"""
