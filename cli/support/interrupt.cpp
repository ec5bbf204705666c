#include "cli/support/interrupt.hpp"

#include <poll.h>

#include <csignal>

namespace gauntlet::cli {
namespace {

volatile std::sig_atomic_t interrupts = 0;

void count_interrupt(int) { interrupts = interrupts + 1; }

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = &count_interrupt;  // no SA_RESTART: waits end early
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

int n_interrupts() { return interrupts; }

void pause_for(Milliseconds duration) {
  static_cast<void>(poll(nullptr, 0, static_cast<int>(duration.count())));
}

}  // namespace gauntlet::cli
