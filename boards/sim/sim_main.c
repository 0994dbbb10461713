/* SPDX-License-Identifier: MIT */
#include <stddef.h>

#include "sim_cli.h"

int main(int argc, char **argv)
{
    return sim_cli(argc, argv, NULL);
}
