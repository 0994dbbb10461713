/* SPDX-License-Identifier: MIT */
#include "identity.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kwm/bytes.h"

static const char *const default_names[] = {
    "localhost",   "localhost.localdomain",
    "raspberrypi", "debian",
    "ubuntu",      "openwrt",
    "buildroot",   "alpine",
    "armbian",     "beaglebone",
    "orangepi",    "rockchip",
    "fedora",      "raspberry",
    "yocto",       "qemuarm",
    "(none)",      "linux",
};

bool linux_identity_is_default(const char *name)
{
    for (size_t i = 0; i < sizeof(default_names) / sizeof(default_names[0]); i++) {
        if (strcasecmp(name, default_names[i]) == 0) {
            return true;
        }
    }
    return name[0] == '\0';
}

/** Read a short text. @return its length without the line end; 0 if there is none. */
static size_t read_text(const char *path, char *out, size_t cap)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    const ssize_t got = read(fd, out, cap - 1);
    (void)close(fd);
    size_t len = got > 0 ? (size_t)got : 0;
    while (len > 0 && (out[len - 1] == '\n' || out[len - 1] == ' ')) {
        len--;
    }
    out[len] = '\0';
    return len;
}

/** The address of the network card whose name comes first, but for loopback. */
static size_t read_mac(char *out, size_t cap)
{
    char first[64] = "";
    DIR *dir = opendir("/sys/class/net");
    if (dir == NULL) {
        return 0;
    }
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, "lo") != 0 &&
            (first[0] == '\0' || strcmp(entry->d_name, first) < 0)) {
            (void)snprintf(first, sizeof(first), "%.63s", entry->d_name);
        }
    }
    (void)closedir(dir);
    char path[128];
    (void)snprintf(path, sizeof(path), "/sys/class/net/%s/address", first);
    return first[0] != '\0' ? read_text(path, out, cap) : 0;
}

bool linux_identity(char *out, size_t cap)
{
    char name[IDENTITY_LEN_MAX + 1] = "";
    (void)gethostname(name, sizeof(name) - 1);
    for (char *c = name; *c != '\0'; c++) {
        if ((unsigned char)*c <= ' ' || strchr(",=;'\"\\", *c) != NULL ||
            (unsigned char)*c >= 0x7F) {
            *c = '-';
        }
    }
    (void)snprintf(out, cap, "%s", name);
    if (!linux_identity_is_default(name)) {
        return true;
    }
    char number[80];
    size_t len = read_text("/etc/machine-id", number, sizeof(number));
    if (len == 0) {
        len = read_mac(number, sizeof(number));
    }
    if (len == 0) {
        return false;
    }
    (void)snprintf(out, cap, "%.50s-%08x", name[0] != '\0' ? name : "device",
                   (unsigned)kwm_hash(KWM_HASH_INIT, number, len));
    return true;
}
