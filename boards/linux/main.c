/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "linux/linux_inputs.h"

#define DEFAULT_CONFIG "/etc/kwmote/kwmote.json"

static const char usage[] =
    "usage: kwmote [--config FILE] [--debug] [--quiet] [COMMAND]\n"
    "\n"
    "  (no command)    collect and deliver until TERM; HUP reads the configuration anew\n"
    "  --test          collect once and print the lines, send nothing\n"
    "  --once          collect once and deliver; exit 0 only if every row was stored,\n"
    "                  1 configuration, 2 rows refused by the server, 3 not delivered\n"
    "  check           go from the name lookup to each table, and say what is wrong\n"
    "  schema [--diff] [--apply --user USER[:PASSWORD]]\n"
    "                  print the tables that the configured inputs need\n"
    "  config check    check the configuration\n"
    "  config create   print a commented sample\n"
    "  version\n"
    "\n"
    "  --config FILE   default " DEFAULT_CONFIG "\n";

enum mode { MODE_RUN, MODE_TEST, MODE_ONCE };

struct arguments {
    struct app_options options;
    enum mode mode;
    int next; /**< first argument that is not an option of ours */
    bool is_wrong;
};

static void take_option(struct arguments *arguments, int argc, char **argv)
{
    const char *option = argv[arguments->next];
    if (strncmp(option, "--config=", 9) == 0) {
        arguments->options.config_path = option + 9;
    } else if (strcmp(option, "--config") == 0 && arguments->next + 1 < argc) {
        arguments->options.config_path = argv[++arguments->next];
    } else if (strcmp(option, "--test") == 0) {
        arguments->mode = MODE_TEST;
    } else if (strcmp(option, "--once") == 0) {
        arguments->mode = MODE_ONCE;
    } else if (strcmp(option, "--debug") == 0) {
        arguments->options.debug = true;
    } else if (strcmp(option, "--quiet") == 0) {
        arguments->options.quiet = true;
    } else {
        (void)fprintf(stderr, "kwmote: unknown option %s\n\n%s", option, usage);
        arguments->is_wrong = true;
    }
    arguments->next++;
}

static int run_command(const struct arguments *arguments, int argc, char **argv)
{
    const char *command = argv[arguments->next];
    const char *word = arguments->next + 1 < argc ? argv[arguments->next + 1] : "";
    if (strcmp(command, "version") == 0) {
        (void)printf("kwmote " KWM_VERSION "\n");
        return EXIT_STATUS_OK;
    }
    if (strcmp(command, "config") == 0 && strcmp(word, "check") == 0) {
        return command_config_check(&arguments->options);
    }
    if (strcmp(command, "config") == 0 && strcmp(word, "create") == 0) {
        return command_config_create();
    }
    if (strcmp(command, "schema") == 0) {
        return command_schema(&arguments->options, argc - arguments->next - 1,
                              argv + arguments->next + 1);
    }
    if (strcmp(command, "check") == 0) {
        return command_check(&arguments->options);
    }
    (void)fprintf(stderr, "kwmote: unknown command %s%s%s\n\n%s", command,
                  word[0] != '\0' ? " " : "", word, usage);
    return EXIT_STATUS_CONFIG;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {.options = {.config_path = DEFAULT_CONFIG}, .next = 1};
    linux_inputs_roots_from_env();
    while (arguments.next < argc && argv[arguments.next][0] == '-') {
        if (strcmp(argv[arguments.next], "--help") == 0 ||
            strcmp(argv[arguments.next], "-h") == 0) {
            (void)printf("%s", usage);
            return EXIT_STATUS_OK;
        }
        if (strcmp(argv[arguments.next], "--version") == 0) {
            (void)printf("kwmote " KWM_VERSION "\n");
            return EXIT_STATUS_OK;
        }
        take_option(&arguments, argc, argv);
        if (arguments.is_wrong) {
            return EXIT_STATUS_CONFIG;
        }
    }
    if (arguments.next < argc) {
        return run_command(&arguments, argc, argv);
    }
    switch (arguments.mode) {
    case MODE_TEST:
        return command_test(&arguments.options);
    case MODE_ONCE:
        return command_once(&arguments.options);
    default:
        return command_run(&arguments.options);
    }
}
