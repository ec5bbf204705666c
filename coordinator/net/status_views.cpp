#include "coordinator/net/status_views.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace gauntlet::coordinator {

namespace asio = boost::asio;

/// Outlives its place in the list while somebody waits for it.
struct StatusViews::View {
  View(const asio::any_io_executor& executor, SteadyTime now) : begun(now), made(executor) {
    made.expires_at(asio::steady_timer::time_point::max());
  }

  SteadyTime begun;
  asio::steady_timer made;  ///< cancelled when there is a text or an error
  bool is_made = false;
  Result<Text> text = fail(ErrorCode::kInternal, "the coordinator stopped while it answered");
};

bool StatusViews::is_young(const View& view) const {
  return !view.is_made || (view.text && clock_.now() - view.begun < age_);
}

asio::awaitable<Result<StatusViews::Text>> StatusViews::get(SweepId sweep) {
  std::erase_if(views_, [this](const auto& entry) { return !is_young(*entry.second); });
  if (const auto known = views_.find(sweep); known != views_.end()) {
    const std::shared_ptr<View> view = known->second;
    if (!view->is_made)
      static_cast<void>(co_await view->made.async_wait(asio::as_tuple(asio::use_awaitable)));
    co_return view->text;
  }
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  const auto view = std::make_shared<View>(executor, clock_.now());
  /// However the making ends, nobody waits for ever.
  struct Announced {
    View& view;
    ~Announced() {
      view.is_made = true;
      view.made.cancel();
    }
  };
  views_.emplace(sweep, view);
  const Announced announced{*view};
  view->text = co_await make_(sweep);
  co_return view->text;
}

}  // namespace gauntlet::coordinator
