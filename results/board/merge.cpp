// The union of two documents. Every place of a document holds a set of values and a set of named places below
// it; the union of sets is commutative, associative and idempotent, and so is this.
#include <fmt/format.h>

#include <map>
#include <set>

#include "results/board/board.hpp"

namespace gauntlet::results {
namespace {

constexpr const char* kAlso = "also";  ///< of the whole document: values that found their place taken

std::string text_of(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

struct Place {
  bool is_object = false;
  std::map<std::string, Place> members;
  std::map<std::string, Json> values;  ///< canonical text → value; arrays are one value
};

void take_in(const Json& value, Place& place) {
  if (!value.is_object()) {
    place.values.emplace(text_of(value), value);
    return;
  }
  place.is_object = true;
  for (const auto& [name, member] : value.items()) take_in(member, place.members[name]);
}

void take_in_document(const Json& document, Place& root) {
  for (const auto& [name, member] : document.items()) {
    if (name != kAlso) take_in(member, root.members[name]);
  }
  const auto also = document.find(kAlso);
  if (also == document.end() || !also->is_array()) return;
  for (const Json& value : *also) {
    Place* place = &root;
    for (const Json& name : value.at("path")) {
      place->is_object = true;
      place = &place->members[name.get<std::string>()];
    }
    place->values.emplace(text_of(value.at("value")), value.at("value"));
  }
}

/// What stands at the place; the rest goes to `also`.
Json written(const Place& place, std::vector<std::string>& path, Json& also) {
  auto value = place.values.begin();
  Json standing;
  if (place.is_object) {
    standing = Json::object();
    for (const auto& [name, member] : place.members) {
      path.push_back(name);
      standing[name] = written(member, path, also);
      path.pop_back();
    }
  } else if (value != place.values.end()) {
    standing = (value++)->second;
  }
  for (; value != place.values.end(); ++value) also.push_back({{"path", path}, {"value", value->second}});
  return standing;
}

std::string name_of_place(const Json& path) {
  std::string name;
  for (const Json& part : path) name += "/" + part.get<std::string>();
  return name;
}

}  // namespace

Json merged_documents(const Json& one, const Json& other) {
  Place root;
  root.is_object = true;
  take_in_document(one, root);
  take_in_document(other, root);
  Json also = Json::array();
  std::vector<std::string> path;
  Json document = written(root, path, also);
  if (!also.empty()) document[kAlso] = std::move(also);
  return document;
}

std::vector<std::string> differences_of(const Board& board) {
  std::vector<std::string> lines;
  const auto also = board.document().find(kAlso);
  if (also == board.document().end()) return lines;
  for (const Json& other : *also) {
    const Json* standing = &board.document();
    for (const Json& name : other.at("path")) standing = &standing->at(name.get<std::string>());
    lines.push_back(fmt::format("{} is {} in one file and {} in another", name_of_place(other.at("path")),
                                text_of(*standing), text_of(other.at("value"))));
  }
  return lines;
}

}  // namespace gauntlet::results
