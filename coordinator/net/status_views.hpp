// What the page shows of sweeps and workers, made at most once in a while however many look.
// Thread safety: none; the coroutines of one thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "core/base/clock.hpp"
#include "core/base/ids.hpp"
#include "core/base/result.hpp"

namespace gauntlet::coordinator {

class StatusViews {
 public:
  using Text = std::shared_ptr<const std::string>;
  using Make = std::function<boost::asio::awaitable<Result<Text>>(SweepId)>;

  /// A view is made anew for whoever asks `age` after it was begun. The clock outlives this.
  StatusViews(const Clock& clock, Milliseconds age, Make make)
      : clock_(clock), age_(age), make_(std::move(make)) {}

  /// The view of a sweep (0: of all). Who asks while it is being made waits for the same one. Errors, which
  /// are not kept: those of `make`.
  [[nodiscard]] boost::asio::awaitable<Result<Text>> get(SweepId sweep);

 private:
  struct View;
  [[nodiscard]] bool is_young(const View& view) const;

  const Clock& clock_;
  Milliseconds age_;
  Make make_;
  std::map<SweepId, std::shared_ptr<View>> views_;
};

}  // namespace gauntlet::coordinator
